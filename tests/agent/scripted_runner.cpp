// A runner whose engine runs scripts instead of models: confined and spoken to like the real one,
// so that an agent's whole way can be tested where LibTorch is absent. A "model file" is a JSON
// object that says how it behaves:
//   offset   added to every value: how wrong the outputs are
//   call_ms  how long a call takes
//   sampler_offset, sampler_ms   the same, of forward alone
//   crash_at_call   the call that ends the runner by a signal, counted from 1, after some
//                   lines on its standard error; 0: none
//   kill_at_call    the same as by a kernel that has no memory left
//   load_ms  how long loading takes
//   crash_after_ms  a crash by the time since the model was loaded; 0: never
//   crash_at_rows, fail_at_rows   a crash, or an error, of a call of so many rows; 0: never
// A program that is named "…-drifted" adds 400 to every value, one named "…-slow" takes 25 ms longer.
// decode(latent [1, 4]) -> velocity [1, 1, 3, 3]; forward(batch_size, seed) -> the same.

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/runner/child_process.hpp"
#include "runtime/runner/confine.hpp"
#include "runtime/runner/messages.hpp"
#include "runtime/runner/server.hpp"

namespace outcrop::runtime {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::int64_t outputs_of_one = 9;

struct Script {
  double offset = 0;
  std::int64_t call_ms = 0;
  double sampler_offset = 0;
  std::int64_t sampler_ms = 0;
  std::int64_t crash_at_call = 0;
  std::int64_t kill_at_call = 0;
  std::int64_t crash_after_ms = 0;
  std::int64_t crash_at_rows = 0;
  std::int64_t fail_at_rows = 0;
  std::int64_t calls = 0;
  SteadyClock::time_point loaded = SteadyClock::now();
};

void crash() {
  ::signal(SIGSEGV, SIG_DFL);  // a sanitizer would catch it
  ::raise(SIGSEGV);
}

class ScriptCall final : public Call {
 public:
  ScriptCall(Script& script, std::vector<float> first, bool samples)
      : script_(script),
        first_(std::move(first)),
        offset_(static_cast<float>(script.offset + (samples ? script.sampler_offset : 0))),
        duration_(script.call_ms + (samples ? script.sampler_ms : 0)) {}

  Status run() override {
    if (++script_.calls == script_.crash_at_call) {
      std::fputs("terminate called\n  what():  no such fault\n", stderr);
      crash();
    }
    if (script_.calls == script_.kill_at_call) ::raise(SIGKILL);
    const auto rows = static_cast<std::int64_t>(first_.size());
    if (rows == script_.crash_at_rows) crash();
    if (rows == script_.fail_at_rows) return fail(ErrorCode::internal, "too many rows");
    const auto start = SteadyClock::now();
    if (script_.crash_after_ms > 0 &&
        start - script_.loaded > std::chrono::milliseconds(script_.crash_after_ms)) {
      crash();
    }
    const auto end = start + duration_;
    while (SteadyClock::now() < end) {
    }
    return {};
  }
  Result<std::vector<OperatorTime>> run_watched() override {
    const auto start = SteadyClock::now();
    OUTCROP_CHECK(run());
    return std::vector<OperatorTime>{{"test::script", SteadyClock::now() - start}, {"aten::relu", std::chrono::nanoseconds(5)}};
  }
  Result<std::vector<Tensor>> outputs() override {
    std::vector<float> values;
    for (const float first : first_) {
      for (std::int64_t i = 0; i < outputs_of_one; ++i) {
        values.push_back(1000 * first + static_cast<float>(i) + offset_);
      }
    }
    const auto rows = static_cast<std::int64_t>(first_.size());
    return std::vector{Tensor::of_floats("", {rows, 1, 3, 3}, values)};
  }

 private:
  Script& script_;
  std::vector<float> first_;  // of each latent
  float offset_;
  std::chrono::milliseconds duration_;
};

class ScriptModel final : public Model {
 public:
  explicit ScriptModel(const Script& script) : script_(script) {}
  std::map<std::string, std::string> methods() const override {
    return {{"decode", "decode(Tensor latent) -> Tensor"},
            {"forward", "forward(int batch_size, int seed) -> Tensor"}};
  }
  Result<std::unique_ptr<Call>> prepare(std::string_view method,
                                        std::span<const Value> arguments) override {
    std::vector<float> first;
    if (method == "decode" && arguments.size() == 1) {
      const auto& latent = std::get<Tensor>(arguments[0]);
      first.push_back(latent.floats()[0]);
    } else if (method == "forward" && arguments.size() == 2) {
      for (std::int64_t i = 0; i < std::get<std::int64_t>(arguments[0]); ++i) {
        first.push_back(static_cast<float>(std::get<std::int64_t>(arguments[1]) + i));
      }
    } else {
      return fail(ErrorCode::not_found, "no method " + std::string(method));
    }
    return std::unique_ptr<Call>(
        std::make_unique<ScriptCall>(script_, std::move(first), method == "forward"));
  }

 private:
  Script script_;
};

class ScriptEngine final : public Engine {
 public:
  std::string name() const override { return "torch"; }
  std::string version() const override { return "0.0-scripted"; }
  const std::vector<Backend>& backends() const override { return backends_; }
  bool has_operator(std::string_view name) const override { return name == "test::script"; }
  Result<Inspection> inspect(BytesView) override {
    return Inspection{{"test::script"}, 1, ByteCount::kib(64)};
  }
  Result<std::unique_ptr<Model>> load(BytesView file, std::string_view, int) override {
    // What follows the object is there to be transferred.
    const std::string text(as_text(file.first(std::min<std::size_t>(file.size(), 4096))));
    const auto json =
        nlohmann::json::parse(text.substr(0, text.find('}') + 1), nullptr, /*exceptions=*/false);
    if (!json.is_object()) return fail(ErrorCode::invalid_data, "no script");
    Script script;
    script.offset = json.value("offset", 0.0);
    script.call_ms = json.value("call_ms", 0);
    script.sampler_offset = json.value("sampler_offset", 0.0);
    script.sampler_ms = json.value("sampler_ms", 0);
    script.crash_at_call = json.value("crash_at_call", 0);
    script.kill_at_call = json.value("kill_at_call", 0);
    script.crash_at_rows = json.value("crash_at_rows", 0);
    script.fail_at_rows = json.value("fail_at_rows", 0);
    if (program_.ends_with("-drifted")) script.offset += 400;
    if (program_.ends_with("-slow")) script.call_ms += 25;
    script.crash_after_ms = json.value("crash_after_ms", 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(json.value("load_ms", 0)));
    script.loaded = SteadyClock::now();
    return std::unique_ptr<Model>(std::make_unique<ScriptModel>(script));
  }

 private:
  std::string program_ = std::filesystem::read_symlink("/proc/self/exe");
  std::vector<Backend> backends_{{"qnnpack", {}, {}}, {"fbgemm", {"quantized::linear"}, {}}};
};

}  // namespace
}  // namespace outcrop::runtime

int main(int argc, char** argv) {
  using namespace outcrop::runtime;
  if (argc != 3) return 2;
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ScriptEngine engine;
  Server server(engine, Channel{outcrop::UniqueFd(ChildProcess::socket_descriptor)});
  const auto missing =
      confine_this_process(outcrop::ByteCount(std::strtoull(argv[2], nullptr, 10)));
  const outcrop::Status said = server.send({{{"type", "hello"},
                                             {"engine", engine.name()},
                                             {"engine_version", engine.version()},
                                             {"backends", encode_backends(engine.backends())},
                                             {"self_test_ns", 0},
                                             {"missing", missing}},
                                            {}});
  if (said) server.serve();
  ::_exit(0);
}
