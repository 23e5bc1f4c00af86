#include "agent/doctor/runner.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>

#include "agent/prove/trial.hpp"
#include "runtime/runner/architecture.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* another_torch =
    "this LibTorch needs instructions that this processor has not: install one that was built for "
    "it (on a Raspberry Pi 4 its mobile build, Debian's, or the wheel of 2.9.1)";

// The signal that an error of Runner says ended the child; 0 where none did.
int signal_in(const std::string& message) {
  static constexpr std::string_view words = "ended by signal ";
  const std::size_t at = message.find(words);
  int number = 0;
  if (at == std::string::npos) return 0;
  std::from_chars(message.data() + at + words.size(), message.data() + message.size(), number);
  return number;
}

std::string advice_for_signal(int number, const AgentConfig& config) {
  switch (number) {
    case SIGILL:
      return another_torch;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGTRAP:
      return "as with a LibTorch that was built for another processor, or that is of another "
             "version than the runner was built with: install the two that belong together";
    case SIGSYS:
      return "a system call filter that it inherited forbids what it needs: see the unit";
    case SIGKILL:
      return "memory ran out: end what else runs here, or lower memory_limit_mb in [runner]";
    default:
      return "run " + config.runner_program.string() + " --help by hand: what does it say?";
  }
}

bool says(const std::string& message, std::string_view words) {
  return message.find(words) != std::string::npos;
}

// For what the loader or the kernel say of a program that never came to run.
std::string advice_for(const Error& error, const AgentConfig& config) {
  const std::string& message = error.message();
  const std::string program = config.runner_program.string();
  std::error_code ignored;
  if (const int number = signal_in(message); number != 0) return advice_for_signal(number, config);
  if (says(message, "error while loading shared libraries") ||
      says(message, "cannot open shared object file")) {
    return "install the library that is missing: ldd " + program + " lists them";
  }
  if (says(message, "' not found (required by")) {
    return "it was built for a newer system than this one: install the package for this release";
  }
  if (says(message, "symbol lookup error") || says(message, "undefined symbol")) {
    return "its LibTorch is of another version than it was built with: install the right one";
  }
  if (error.code() == ErrorCode::unsupported) {
    return "install the package for " + runtime::own_architecture() +
           ", or say in [runner] of agent.toml which emulator is its launcher";
  }
  if (says(message, std::strerror(ENOEXEC))) {
    return "it is no program for this processor: install the package for this one (an agent that "
           "is emulated itself needs the emulator as launcher in [runner] of agent.toml)";
  }
  if (says(message, "Invalid ELF image for this architecture")) {
    return "launcher and program in [runner] of agent.toml are for different processors";
  }
  if (is_emulated(config)) {
    const std::string& launcher = config.runner_launcher.front();
    if (!fs::exists(launcher, ignored)) {
      return "launcher in [runner] of agent.toml is missing: install it (qemu is in Debian's "
             "qemu-user-static), or correct the path";
    }
    if (::access(launcher.c_str(), X_OK) != 0) {
      return "launcher in [runner] of agent.toml is no program that this user may start";
    }
  }
  if ((error.code() == ErrorCode::not_found || is_emulated(config)) &&
      !fs::exists(config.runner_program, ignored)) {
    return "install the runner, or say in [runner] of agent.toml where program is";
  }
  if (error.code() == ErrorCode::not_found && config.runner_launcher.empty()) {
    return "its program loader is missing: it was built for another system";
  }
  if (error.code() == ErrorCode::timeout) return "is this board busy with something else?";
  return "is program in [runner] of agent.toml a runner of this version, and may this user start "
         "it?";
}

std::string named(const std::string& message) {
  const int number = signal_in(message);
  const char* name = number > 0 ? ::sigabbrev_np(number) : nullptr;
  return name == nullptr ? message : "SIG" + std::string(name) + ": " + message;
}

Finding confinement(const runtime::Hello& hello, const AgentConfig& config) {
  if (hello.missing.empty()) return {"confinement", Verdict::ok, "full", {}};
  const std::string text = "reduced: " + enumerate(hello.missing);
  if (config.allow_reduced_confinement) {
    return {"confinement", Verdict::warn, text,
            "models that you do not trust as your own programs do not belong here"};
  }
  return {"confinement", Verdict::fail, text,
          "a kernel with Landlock and seccomp has all of it; or accept less: confinement = "
          "\"reduced\" in [runner] of agent.toml"};
}

Finding engine(const runtime::Hello& hello, const AgentConfig& config) {
  std::vector<std::string> names;
  for (const runtime::Backend& backend : hello.backends) names.push_back(backend.name);
  std::array<char, 64> start{};
  std::snprintf(start.data(), start.size(), ", started in %.1f s, %s",
                hello.start_time.count() / 1000, hello.memory.human().c_str());
  std::string text = hello.engine + " " + hello.engine_version;
  if (is_emulated(config)) {
    text += " under " + fs::path(config.runner_launcher.front()).filename().string() +
            " (no figure measured here is valid)";
  }
  if (names.empty()) {
    return {"engine", Verdict::warn, text + " without kernels for quantized models" + start.data(),
            "install a LibTorch with QNNPACK (its mobile build has it) for int8"};
  }
  return {"engine", Verdict::ok, text + " with " + enumerate(names) + start.data(), {}};
}

Finding kernels(const runtime::Backend& backend) {
  const std::string check = "kernels " + backend.name;
  if (!backend.failed.empty()) {
    return {check, Verdict::warn, "computes wrongly: " + enumerate(backend.failed),
            "nothing: variants that use these are left out here"};
  }
  std::string text = "quantized operators agree with float";
  std::vector<std::string> missing;
  for (const std::string& operation : backend.unsupported) {
    missing.push_back(operation.substr(0, operation.find(": ")));  // the reason is the library's
  }
  if (!missing.empty()) text += "; it has not " + enumerate(missing);
  return {check, Verdict::ok, text, {}};
}

}  // namespace

RunnerFindings check_runner(const AgentConfig& config) {
  runtime::RunnerOptions options = runner_options(config);
  // What is missing is to be told, whether the configuration accepts it or not.
  options.confinement = runtime::Confinement::reduced;
  const auto runner = runtime::Runner::start(options);
  if (!runner) {
    return {false,
            {{"engine", Verdict::fail, named(runner.error().message()),
              advice_for(runner.error(), config)},
             {"confinement", Verdict::unknown, "no runner to ask", "first the engine"}}};
  }
  const runtime::Hello& hello = runner->hello();
  RunnerFindings found{true, {engine(hello, config)}};
  for (const runtime::Backend& backend : hello.backends) found.findings.push_back(kernels(backend));
  found.findings.push_back(confinement(hello, config));
  return found;
}

}  // namespace outcrop::agent
