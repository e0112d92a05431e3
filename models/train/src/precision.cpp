// Autocast to bfloat16 for one kind of device; tch can switch autocast on for CUDA only, and to float16.
#include <ATen/autocast_mode.h>

extern "C" void lipcert_autocast(bool cuda, bool on) {
  const auto device = cuda ? at::kCUDA : at::kCPU;
  at::autocast::set_autocast_dtype(device, at::kBFloat16);
  at::autocast::set_autocast_enabled(device, on);
  if (!on) {
    at::autocast::clear_cache();
  }
}
