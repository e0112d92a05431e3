// A process group of libtorch behind six C functions, for `distributed.rs`.
//
// Every function catches what is thrown. Where something was, it returns null or a number other than 0, and `*words` is a C string that the caller gives
// back to `lipcert_words_free`.

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

struct LipcertGroup {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

namespace {

template <typename Body>
int guarded(char** words, Body body) {
  const char* message = "an exception without words";
  try {
    body();
    return 0;
  } catch (const c10::Error& error) {
    *words = strdup(error.what_without_backtrace());
    return 1;
  } catch (const std::exception& error) {
    *words = strdup(error.what());
    return 1;
  } catch (...) {
    *words = strdup(message);
    return 1;
  }
}

} // namespace

extern "C" {

LipcertGroup* lipcert_group_open(
    const char* host,
    uint16_t port,
    int rank,
    int size,
    int serves,
    const char* prefix,
    int64_t milliseconds,
    char** words) {
  LipcertGroup* opened = nullptr;
  guarded(words, [&] {
    const std::chrono::milliseconds timeout(milliseconds);
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves != 0;
    options.numWorkers = static_cast<std::size_t>(size);
    options.timeout = timeout;
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    auto named = c10::make_intrusive<c10d::PrefixStore>(prefix, store);
    named->setTimeout(timeout);
    auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(
        named, rank, size, c10d::ProcessGroupGloo::Options::create_default(timeout));
    opened = new LipcertGroup{group};
  });
  return opened;
}

// `largest` other than 0: the largest number instead of the sum.
int lipcert_group_reduce(LipcertGroup* group, void* tensor, int largest, char** words) {
  return guarded(words, [&] {
    std::vector<at::Tensor> tensors{*static_cast<at::Tensor*>(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = largest != 0 ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    group->group->allreduce(tensors, options)->wait();
  });
}

int lipcert_group_broadcast(LipcertGroup* group, void* tensor, int64_t root, char** words) {
  return guarded(words, [&] {
    std::vector<at::Tensor> tensors{*static_cast<at::Tensor*>(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    group->group->broadcast(tensors, options)->wait();
  });
}

int lipcert_group_barrier(LipcertGroup* group, char** words) {
  return guarded(words, [&] { group->group->barrier(c10d::BarrierOptions())->wait(); });
}

void lipcert_group_close(LipcertGroup* group) {
  char* words = nullptr;
  guarded(&words, [&] { delete group; });
  std::free(words);
}

void lipcert_words_free(char* words) {
  std::free(words);
}

} // extern "C"
