{{/* The name of all objects: "hello-operator" when the release is called so. */}}
{{- define "hello-operator.name" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name | trunc 35 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $chart | trunc 35 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Every object has them, as those of the kustomization. */}}
{{- define "hello-operator.labels" -}}
app.kubernetes.io/name: hello-operator
app.kubernetes.io/part-of: hello
{{- end -}}

{{/* The operator's pods: one installation in a namespace, so the release's name is not needed, and a Deployment cannot change it. */}}
{{- define "hello-operator.selector" -}}
app.kubernetes.io/name: hello-operator
app.kubernetes.io/component: operator
{{- end -}}

{{- define "hello-operator.image" -}}
{{- .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* Where `helm test` makes its service. */}}
{{- define "hello-operator.testNamespace" -}}
{{- default .Release.Namespace .Values.watchNamespace -}}
{{- end -}}

{{/*
The objects of a file of the kustomization, as a list: with the names, the namespace and the labels of this release.
The Lease has a fixed name, which is why only the names of objects are replaced.
*/}}
{{- define "hello-operator.objects" -}}
{{- $root := first . -}}
{{- $name := include "hello-operator.name" $root -}}
{{- $text := $root.Files.Get (printf "files/%s" (last .)) -}}
{{- if not $text }}{{ fail (printf "the chart has no file %s" (last .)) }}{{ end -}}
{{- $text = regexReplaceAll "(?m)^( +(?:- )?(?:name|policyName): )hello-operator" $text (printf "${1}%s" $name) -}}
{{- $text = replace "hello-system" $root.Release.Namespace $text -}}
{{- $text = replace (printf "system:serviceaccount:%s:hello-operator" $root.Release.Namespace) (printf "system:serviceaccount:%s:%s" $root.Release.Namespace $name) $text -}}
{{- $objects := list -}}
{{- range splitList "\n---\n" $text -}}
{{- $object := fromYaml . -}}
{{- if $object.Error }}{{ fail $object.Error }}{{ end -}}
{{- $labels := merge (include "hello-operator.labels" $root | fromYaml) (default dict $object.metadata.labels) -}}
{{- $_ := set $object.metadata "labels" $labels -}}
{{- $objects = append $objects $object -}}
{{- end -}}
{{- toYaml $objects -}}
{{- end -}}
