// Which libtorch this is, by its own headers.
#include <torch/version.h>

extern "C" const char *lipcert_libtorch_version() { return TORCH_VERSION; }
