#!/usr/bin/python
"""One HTTP request to a Service, through the Kubernetes API server or to a URL."""

DOCUMENTATION = r"""
module: hello_request
short_description: Send one HTTP request to a Service and check the answer
description:
  - Sends a request to the port C(http) of a Service through the API server's proxy. It needs the rights C(get) and
    C(update) on C(services/proxy), and no network path to pods or nodes.
  - With O(url), sends the request to that URL instead.
  - Repeating the request has no further effect, so the module never reports a change.
options:
  url: {description: Base URL to use instead of the Service., type: str}
  namespace: {description: Namespace of the Service., type: str, required: true}
  service: {description: Name of the Service., type: str, required: true}
  kubeconfig: {description: Path of the kubeconfig., type: path}
  context: {description: Context of the kubeconfig., type: str}
  method: {description: HTTP method., type: str, choices: [GET, PUT], required: true}
  path: {description: Path of the request., type: str, required: true}
  body: {description: Body of the request; it is sent as JSON., type: dict}
  status: {description: Expected status of the answer., type: int, required: true}
  timeout: {description: Time limit of one try in seconds., type: int, default: 10}
  retries: {description: Number of further tries when there is no answer or the proxy finds no pod., type: int, default: 5}
"""

RETURN = r"""
status: {description: Status of the answer., type: int, returned: always}
content: {description: Body of the answer as text., type: str, returned: always}
json: {description: Body of the answer, if it is JSON., type: dict, returned: when it is JSON}
"""

import json
import time
import urllib.error
import urllib.request

from ansible.module_utils.basic import AnsibleModule

# Answers of a proxy for a pod that is stopping.
TRANSIENT = (502, 503, 504)


class NoAnswer(Exception):
    """The request got no answer."""


def through_url(params, body):
    """Sends the request to the URL; returns status and text."""
    request = urllib.request.Request(params["url"].rstrip("/") + params["path"], method=params["method"])
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = body
    try:
        with urllib.request.urlopen(request, timeout=params["timeout"]) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        raise NoAnswer(str(error)) from error


def through_api_server(params, body):
    """Sends the request through the API server's proxy; returns status and text."""
    # Imported here, because a request to a URL needs neither.
    import kubernetes
    import urllib3

    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(params["kubeconfig"], params["context"], configuration)
    with kubernetes.client.ApiClient(configuration) as client:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        client.update_params_for_auth(headers, [], ["BearerToken"])
        address = "{}/api/v1/namespaces/{}/services/{}:http/proxy{}".format(
            configuration.host, params["namespace"], params["service"], params["path"]
        )
        try:
            answer = client.rest_client.pool_manager.request(
                params["method"], address, body=body, headers=headers, timeout=params["timeout"], retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(str(error)) from error
        return answer.status, answer.data.decode()


def send(params):
    """Sends the request until there is an answer; returns status and text."""
    body = None if params["body"] is None else json.dumps(params["body"]).encode()
    via = through_url if params["url"] else through_api_server
    for left in range(params["retries"], -1, -1):
        try:
            status, content = via(params, body)
            if status not in TRANSIENT or left == 0:
                return status, content
        except NoAnswer:
            if left == 0:
                raise
        time.sleep(1)
    raise AssertionError("the last try returns or raises")


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str"},
            "namespace": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "kubeconfig": {"type": "path"},
            "context": {"type": "str"},
            "method": {"type": "str", "choices": ["GET", "PUT"], "required": True},
            "path": {"type": "str", "required": True},
            "body": {"type": "dict"},
            "status": {"type": "int", "required": True},
            "timeout": {"type": "int", "default": 10},
            "retries": {"type": "int", "default": 5},
        }
    )
    what = "{method} {path}".format(**module.params)
    try:
        status, content = send(module.params)
    except NoAnswer as error:
        module.fail_json(msg="{}: no answer: {}".format(what, error))
    result = {"changed": False, "status": status, "content": content}
    try:
        result["json"] = json.loads(content)
    except ValueError:
        pass
    if status != module.params["status"]:
        module.fail_json(msg="{}: status {}, expected {}".format(what, status, module.params["status"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
