//! The API server accepts every published example.

use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::Value;

use crate::{input::resource, world::World};

/// Every HelloService of the samples and of the documentation; an excerpt of a spec counts as a whole one.
fn published() -> Vec<(String, Value)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in ["manifests/samples", "docs"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
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
                if value["kind"] == "HelloService" || value.get("kind").is_none() {
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
    let published = published();
    assert!(published.len() >= 10, "{}", published.len());
    for (path, spec) in published {
        world
            .services()
            .patch("demo", &parameters, &Patch::Apply(&resource("demo", &spec)))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}
