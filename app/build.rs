//! Rebuilds when a migration is added: the compiler itself only notices changed Rust files.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
