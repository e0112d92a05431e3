// In what libtorch multiplies. tch can switch autocast on for CUDA only, and to float16.
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

extern "C" void lipcert_autocast(bool cuda, bool on) {
  const auto device = cuda ? at::kCUDA : at::kCPU;
  at::autocast::set_autocast_dtype(device, at::kBFloat16);
  at::autocast::set_autocast_enabled(device, on);
  if (!on) {
    at::autocast::clear_cache();
  }
}

extern "C" void lipcert_full_float32() {
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
}
