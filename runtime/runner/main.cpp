// outcrop-runner-torch: runs one model, confined, for the process that started it (PROTOCOL.md).

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "protocol/base/number.hpp"
#include "protocol/base/program.hpp"
#include "protocol/base/version.hpp"
#include "runtime/engine/torch/torch_engine.hpp"
#include "runtime/runner/child_process.hpp"
#include "runtime/runner/confine.hpp"
#include "runtime/runner/messages.hpp"
#include "runtime/runner/server.hpp"

namespace {

using outcrop::ByteCount;

constexpr const char* usage =
    "outcrop-runner-torch --memory-limit BYTES\n"
    "Runs one model, confined, for the program that started it: outcrop-agent, outcrop bench or\n"
    "the end of a training stage. It is of no use by hand; try 'outcrop bench --help'.\n";

bool parse_memory_limit(int argc, char** argv, ByteCount& limit) {
  if (argc != 3 || std::string_view(argv[1]) != "--memory-limit") return false;
  limit = ByteCount(outcrop::read_number<std::uint64_t>(argv[2]).value_or(0));
  return limit > ByteCount(0);
}

bool has_socket() {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(outcrop::runtime::ChildProcess::socket_descriptor, SOL_SOCKET, SO_TYPE, &type,
                      &size) == 0 &&
         type == SOCK_STREAM;
}

int run(ByteCount memory_limit) {
  using namespace outcrop::runtime;
  const auto start = std::chrono::steady_clock::now();
  Channel channel{outcrop::UniqueFd(ChildProcess::socket_descriptor)};
  const auto engine = start_torch_engine();
  if (!engine) {
    std::fprintf(stderr, "%s\n", engine.error().message().c_str());
    return 1;
  }
  const auto tested = std::chrono::steady_clock::now();
  Server server(**engine, std::move(channel));
  const auto missing = confine_this_process(memory_limit);
  const outcrop::Status said =
      server.send({{{"type", "hello"},
                    {"engine", (*engine)->name()},
                    {"engine_version", (*engine)->version()},
                    {"backends", encode_backends((*engine)->backends())},
                    {"self_test_ns", std::chrono::nanoseconds(tested - start).count()},
                    {"missing", missing}},
                   {}});
  if (said) server.serve();
  return 0;
}

int start(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("outcrop-runner-torch %s\n", outcrop::code_version().c_str());
    return 0;
  }
  ByteCount memory_limit;
  if (!parse_memory_limit(argc, argv, memory_limit) || !has_socket()) {
    const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
    std::fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  // No destructors of LibTorch's: nothing of it needs an orderly end.
  ::_exit(run(memory_limit));
}

}  // namespace

int main(int argc, char** argv) {
  return outcrop::run_main("outcrop-runner-torch", [&] { return start(argc, argv); });
}
