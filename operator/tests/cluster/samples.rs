//! The API server accepts every published example.

use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::Value;

use crate::{input::resource, world::World};

/// Every resource of one kind in the samples and the documentation; an excerpt of a spec counts as a HelloService.
fn published(kind: &str) -> Vec<(String, Value)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let folders = [
        "manifests/samples",
        "manifests/clouds/google/gke",
        "manifests/clouds/aws/eks",
        "docs",
    ];
    for folder in folders {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // Pictures, and what makes the site of the pages, are in folders of docs; modules are in those of the clouds.
            if !path
                .extension()
                .is_some_and(|end| end == "yaml" || end == "md")
            {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let blocks: Vec<&str> = match folder {
                "docs" => text
                    .split("```yaml\n")
                    .skip(1)
                    .map(|block| block.split("```").next().unwrap())
                    .collect(),
                _ => vec![&text],
            };
            for document in blocks
                .into_iter()
                .flat_map(serde_yaml::Deserializer::from_str)
            {
                let value = Value::deserialize(document).unwrap();
                let is_excerpt = value.get("kind").is_none() && kind == "HelloService";
                if value["kind"] == kind || is_excerpt {
                    let spec = value.get("spec").cloned();
                    found.extend(spec.map(|spec| (path.display().to_string(), spec)));
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_samples_and_documentation_show_is_accepted() {
    let world = World::new("published").await;
    let parameters = PatchParams {
        dry_run: true,
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("test").force()
    };
    let services = published("HelloService");
    assert!(services.len() >= 10, "{}", services.len());
    let restores = published("HelloRestore");
    assert!(!restores.is_empty());
    for (path, spec) in restores {
        let mut body = resource("back", &spec);
        body["kind"] = hello_crds::RESTORE_KIND.into();
        crate::restore::restores(&world)
            .patch("back", &parameters, &Patch::Apply(body))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    for (path, spec) in services {
        world
            .services()
            .patch("demo", &parameters, &Patch::Apply(&resource("demo", &spec)))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}
