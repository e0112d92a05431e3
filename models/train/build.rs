//! Tells the linker where libtorch lies, so that the program finds it without a variable, and compiles what reaches libtorch's process groups.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Headers of Gloo that libtorch's own headers ask for; `src/distributed/gloo/declarations.h` stands for all of them.
const GLOO: [&str; 5] = [
    "algorithm.h",
    "common/error.h",
    "context.h",
    "rendezvous/store.h",
    "transport/device.h",
];

fn main() {
    // Said by the build script of torch-sys; nothing where only types are checked.
    let Ok(libraries) = env::var("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libraries}");
    println!("cargo:rerun-if-changed=src/distributed");
    println!("cargo:rerun-if-changed=src/precision.cpp");
    println!("cargo:rerun-if-changed=src/version.cpp");
    for name in ["LIBTORCH_INCLUDE", "LIBTORCH_CXX11_ABI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let root = env::var("LIBTORCH_INCLUDE").map_or_else(|_| Path::new(&libraries).join(".."), PathBuf::from);
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo says it"));
    let declarations =
        Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo says it")).join("src/distributed/gloo/declarations.h");
    for header in GLOO {
        let file = out.join("include/gloo").join(header);
        fs::create_dir_all(file.parent().expect("it has a folder")).expect("the folder can be made");
        fs::write(&file, format!("#include \"{}\"\n", declarations.display())).expect("the file can be written");
    }
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_owned());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(root.join("include"))
        .include(root.join("include/torch/csrc/api/include"))
        // behind those of libtorch, in case it has the headers of Gloo
        .include(out.join("include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        .file("src/distributed/group.cpp")
        .file("src/precision.cpp")
        .file("src/version.cpp")
        .compile("lipcert_group");
}
