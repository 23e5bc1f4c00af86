// A child that breaks the runner's protocol in the way that its first argument names. It stands
// in for a runner that a model has taken over.

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <thread>

namespace {

constexpr int socket_descriptor = 3;

void send_frame(std::string_view header, std::uint64_t payload, std::string_view bytes = {}) {
  std::string frame;
  for (int i = 0; i < 4; ++i) frame += static_cast<char>(header.size() >> (8 * i));
  for (int i = 0; i < 8; ++i) frame += static_cast<char>(payload >> (8 * i));
  frame += header;
  frame += bytes;
  [[maybe_unused]] const auto sent = ::write(socket_descriptor, frame.data(), frame.size());
}

void say_hello(std::string_view self_test_ns, std::string_view backends = "[]") {
  send_frame(R"({"type":"hello","engine":"torch","engine_version":"1","missing":[],"backends":)" +
                 std::string(backends) + R"(,"self_test_ns":)" + std::string(self_test_ns) + "}",
             0);
}

void die_by(int signal) {
  ::signal(signal, SIG_DFL);  // a sanitizer would catch it
  ::raise(signal);
}

void wait_for_request() {
  char buffer[65536];
  [[maybe_unused]] const auto got = ::read(socket_descriptor, buffer, sizeof buffer);
}

void answer(std::string_view mode) {
  if (mode == "huge-payload") return send_frame(R"({"type":"outputs"})", 1ULL << 40);
  if (mode == "huge-header") {
    const char prefix[12] = {'\xff', '\xff', '\xff', '\x7f'};
    [[maybe_unused]] const auto sent = ::write(socket_descriptor, prefix, sizeof prefix);
    return;
  }
  if (mode == "not-json") return send_frame("{\"type\":", 0);
  if (mode == "older") {
    return send_frame(R"({"type":"error","code":"invalid_argument",)"
                      R"("message":"a request of unknown type 'lacking'"})",
                      0);
  }
  if (mode == "lacks-nonsense") return send_frame(R"({"type":"lacked","operators":[7]})", 0);
  if (mode == "no-type") return send_frame("[]", 0);
  if (mode == "wrong-type") return send_frame(R"({"type":"\u001b[31mred"})", 0);
  if (mode == "negative-shape") {
    return send_frame(R"({"type":"outputs","cold":true,"call_ns":1,)"
                      R"("tensors":[{"dtype":"float32","shape":[-1]}]})",
                      0);
  }
  if (mode == "huge-shape") {
    return send_frame(R"({"type":"outputs","cold":true,"call_ns":1,"tensors":)"
                      R"([{"dtype":"float32","shape":[4611686018427387904,4]}]})",
                      0);
  }
  if (mode == "missing-bytes") {
    return send_frame(R"({"type":"outputs","cold":true,"call_ns":1,)"
                      R"("tensors":[{"dtype":"float32","shape":[2]}]})",
                      4, "abcd");
  }
  if (mode == "extra-bytes") {
    return send_frame(R"({"type":"outputs","cold":true,"call_ns":1,"tensors":[]})", 4, "abcd");
  }
  if (mode == "slow-call") {  // longer than the parent waited
    return send_frame(R"({"type":"outputs","cold":true,"call_ns":9000000000000,"tensors":[]})", 0);
  }
  if (mode == "fast-clock") {  // claims a call that took longer than the parent waited
    return send_frame(R"({"type":"measured","cold":true,"first_ns":9000000000000,"warm_up_ns":0,)"
                      R"("tensors":[{"dtype":"int64","shape":[1]}]})",
                      8, std::string_view("\x01\0\0\0\0\0\0\0", 8));
  }
  // Operators' times: beyond the wait, below 0, not one for each, of more calls than were asked for.
  const auto timed = [](std::string_view calls, std::string_view operators, std::string_view nanoseconds) {
    send_frame(R"({"type":"timed-operators","calls":)" + std::string(calls) + R"(,"operators":)" + std::string(operators) +
                   R"(,"tensors":[{"dtype":"int64","shape":[1]}]})",
               8, nanoseconds);
  };
  if (mode == "slow-operators") return timed("1", R"(["aten::relu"])", std::string_view("\0\0\0\0\0\0\x01\0", 8));
  if (mode == "negative-operators") return timed("1", R"(["aten::relu"])", "\xff\xff\xff\xff\xff\xff\xff\xff");
  if (mode == "few-operators") return timed("1", R"(["aten::relu","aten::add"])", std::string_view("\x01\0\0\0\0\0\0\0", 8));
  if (mode == "many-watched") return timed("4", R"(["aten::relu"])", std::string_view("\x01\0\0\0\0\0\0\0", 8));
  if (mode == "half-a-frame") {
    send_frame(R"({"type":"outputs","cold":true,"call_ns":1,"tensors":[]})", 1000, "abcd");
  }
  if (mode == "crowd") {  // more threads than any pool of LibTorch's has
    for (unsigned i = 0; i < 64 + 8 * std::thread::hardware_concurrency(); ++i) std::thread([] { ::pause(); }).detach();
  }
  if (mode == "dies-talking") {
    std::fprintf(stderr, "the model said \033[31mgoodbye\n");
    ::abort();
  }
  ::pause();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  if (mode == "exits") return 3;
  if (mode == "silent") ::pause();
  if (mode == "illegal-instruction") die_by(SIGILL);  // as a LibTorch for another processor does
  if (mode == "segmentation-fault") die_by(SIGSEGV);
  if (mode == "group") {  // a helper of its own that would outlive it
    if (::fork() == 0) ::pause();
  }
  if (mode == "environment") {
    std::set<std::string> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      variables.insert(std::string(*variable).substr(0, std::strcspn(*variable, "=")));
    }
    std::string names;
    for (const std::string& variable : variables) names += variable + " ";
    for (int fd = 4; fd < 256; ++fd) {
      if (::fcntl(fd, F_GETFD) >= 0) names += "descriptor-" + std::to_string(fd) + " ";
    }
    std::fprintf(stderr, "[%s]\n", names.c_str());
    return 4;
  }
  // One claims a self-test that took longer than the parent waited for all of the start.
  if (mode == "slow-start") {
    say_hello("9000000000000");
  } else if (mode == "wrong-kernels") {
    say_hello("1", R"([{"name":"good","failed":[],"unsupported":["quantized::add qint8: no"]},)"
                   R"({"name":"bad","failed":)"
                   R"(["quantized::linear","quantized::mul"],"unsupported":[]}])");
  } else {
    say_hello("1");
  }
  wait_for_request();
  answer(mode);
  return 0;
}
