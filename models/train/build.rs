//! Tells the linker where libtorch lies, so that the program finds it without a variable.

fn main() {
    // Said by the build script of torch-sys; nothing where only types are checked.
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
