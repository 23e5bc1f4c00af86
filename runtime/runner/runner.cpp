#include "runtime/runner/runner.hpp"

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/architecture.hpp"
#include "runtime/runner/child_process.hpp"
#include "runtime/runner/frame.hpp"
#include "runtime/runner/messages.hpp"

namespace outcrop::runtime {
namespace {

using Json = nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

constexpr const char* program_name = "outcrop-runner-torch";
// How long a child whose socket closed may take to end, before its end is made.
constexpr std::chrono::milliseconds last_breath{2000};
// A model that has taken over the child could claim to be fast: calls that make up less than this
// share of what the parent waited for them are not believed.
constexpr double least_share_of_wait = 0.5;
constexpr std::chrono::milliseconds shortest_checked_wait{200};
// The kernel's limit on threads is one on all of a user's, and none on root's: so they are counted from here, this often.
constexpr std::chrono::milliseconds between_counts{200};
// LibTorch has up to three pools of threads; more is a model's own doing.
constexpr unsigned most_threads_of_a_core = 4;
constexpr unsigned most_other_threads = 32;

std::filesystem::path default_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path() / program_name;
}

// What LibTorch's thread pools read when they start. Of the caller's environment whose kernels its products of matrices
// take (trainer_host/trainer/train/process.hpp), and nothing else.
std::vector<std::string> runner_environment() {
  std::vector<std::string> all{"PATH=/usr/bin:/bin", "LC_ALL=C", "OMP_WAIT_POLICY=PASSIVE", "OPENBLAS_NUM_THREADS=1"};
  const char* kernels = std::getenv("OPENBLAS_CORETYPE");
  if (kernels != nullptr) all.push_back(std::string("OPENBLAS_CORETYPE=") + kernels);
  return all;
}

// "Exec format error" is all that the kernel says of a program for another processor.
Error explained(const Error& error, const std::string& program) {
  const std::string theirs = architecture_of(program);
  const std::string ours = own_architecture();
  if (error.code() == ErrorCode::not_found || theirs.empty() || theirs == ours) return error;
  return {ErrorCode::unsupported,
          "starting " + program + ": it is for " + theirs + ", this machine is " + ours};
}

std::string seconds(std::chrono::milliseconds duration) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s",
                std::chrono::duration<double>(duration).count());
  return text.data();
}

}  // namespace

std::string_view to_string(Confinement confinement) {
  return confinement == Confinement::full ? "full" : "reduced";
}

class Runner::Impl {
 public:
  Impl(ChildProcess child, Channel channel, RunnerOptions options)
      : child_(std::move(child)), channel_(std::move(channel)), options_(std::move(options)) {}

  // Receives what the child says first, and decides whether its confinement will do.
  Status greet(SteadyClock::time_point start) {
    child_.allow_cpu_time(std::chrono::ceil<std::chrono::seconds>(options_.start_deadline));
    auto frame = receive("starting", options_.start_deadline);
    if (!frame) return fail(std::move(frame).error());
    const Nanoseconds waited = SteadyClock::now() - start;
    if (auto understood = read_hello(frame->header, waited); !understood) {
      return fail(give_up(understood.error(), "starting", options_.start_deadline));
    }
    hello_.start_time = waited;
    if (const auto memory = child_.resident_memory()) hello_.memory = *memory;
    if (hello_.confinement == Confinement::full || options_.confinement == Confinement::reduced) {
      return {};
    }
    std::string missing;
    for (const auto& item : hello_.missing) missing += (missing.empty() ? "" : "; ") + item;
    return fail(ErrorCode::refused,
                "this machine cannot confine a runner fully (" + missing +
                    "); models are run here only where that is allowed: by "
                    "--allow-reduced-confinement for a command, by confinement = \"reduced\" in "
                    "agent.toml for a board");
  }

  Result<Frame> exchange(const Frame& request, std::chrono::milliseconds patience,
                         std::string_view expected, int descriptor = -1) {
    if (broken_) return fail(*broken_);
    const std::string what = request.type();
    child_.allow_cpu_time(
        std::chrono::ceil<std::chrono::seconds>(patience * std::max(1, threads_)) +
        std::chrono::seconds(1));
    const auto deadline = SteadyClock::now() + patience;
    if (auto sent = channel_.send(request, deadline, descriptor); !sent) {
      if (sent.error().code() == ErrorCode::invalid_argument) return fail(sent.error());
      return fail(give_up(sent.error(), what, patience));
    }
    return receive(what, patience, expected, deadline);
  }

  Result<Inspection> inspect(const trust::VerifiedBlob& blob) {
    OUTCROP_TRY(reply, exchange({{{"type", "inspect"}}, {}}, options_.load_deadline, "inspected",
                                blob.fd()));
    return understood(decode_inspection(reply.header));
  }

  Result<std::vector<std::string>> lacking(const std::vector<std::string>& operators) {
    const Frame request{{{"type", "lacking"}, {"operators", operators}}, {}};
    auto reply = exchange(request, options_.load_deadline, "lacked");
    if (!reply && reply.error().code() == ErrorCode::invalid_argument) {
      return fail(ErrorCode::refused,
                  "the runner cannot say which operators it has, being older than this program: "
                  "install the runner of the same version");
    }
    if (!reply) return fail(std::move(reply).error());
    return understood(get_strings(reply->header, "operators"));
  }

  Result<LoadReport> load(const trust::VerifiedBlob& blob, const LoadRequest& request) {
    threads_ = request.threads;
    Frame frame{{{"type", "load"},
                 {"backend", request.backend},
                 {"threads", request.threads},
                 {"allowed_operators", request.allowed_operators},
                 {"expected_methods", request.expected_methods}},
                {}};
    const auto start = SteadyClock::now();
    OUTCROP_TRY(reply, exchange(frame, options_.load_deadline, "loaded", blob.fd()));
    const auto waited = SteadyClock::now() - start;
    return understood(read_loaded(reply.header, waited));
  }

  Result<std::vector<Tensor>> infer(std::string_view method, std::span<const Value> arguments) {
    Frame frame;
    frame.header = {{"type", "infer"},
                    {"method", method},
                    {"arguments", encode_arguments(arguments, frame.payload)}};
    const auto start = SteadyClock::now();
    OUTCROP_TRY(reply, exchange(frame, options_.call_deadline, "outputs"));
    const Nanoseconds waited = SteadyClock::now() - start;
    OUTCROP_TRY(cold, understood(get_bool(reply.header, "cold")));
    OUTCROP_TRY(time, understood(get_integer(reply.header, "call_ns", 1, waited.count())));
    if (cold) first_calls_[std::string(method)] = Nanoseconds(time);
    return understood(decode_tensors(reply.header.value("tensors", Json()), reply.payload));
  }

  Result<Measurement> measure(const MeasureRequest& request) {
    if (request.maximum_calls == 0) {
      return fail(ErrorCode::invalid_argument, "a measurement of no calls");
    }
    Frame frame;
    frame.header = {{"type", "measure"},
                    {"method", request.method},
                    {"arguments", encode_arguments(request.arguments, frame.payload)},
                    {"warm_up_calls", request.warm_up_calls},
                    {"maximum_calls", request.maximum_calls},
                    {"maximum_ns", std::chrono::nanoseconds(request.maximum_time).count()}};
    OUTCROP_TRY(watched, exchange_watched(frame, request, "measured"));
    OUTCROP_TRY(measurement, understood(read_measured(watched.reply, request, watched.waited)));
    OUTCROP_TRY(cold, understood(get_bool(watched.reply.header, "cold")));
    const auto known = first_calls_.try_emplace(request.method, measurement.first).first;
    if (!cold) measurement.first = known->second;
    Validity conditions = std::move(watched.conditions);
    for (auto& reason : measurement.validity.void_because) {
      conditions.void_because.push_back(std::move(reason));
    }
    measurement.validity = std::move(conditions);
    if (const auto peak = child_.peak_memory()) measurement.peak_memory = *peak;
    measurement.engine_memory = hello_.memory;
    return measurement;
  }

  Result<OperatorTimings> time_operators(const MeasureRequest& request) {
    Frame frame;
    frame.header = {{"type", "time-operators"},
                    {"method", request.method},
                    {"arguments", encode_arguments(request.arguments, frame.payload)},
                    {"maximum_calls", request.maximum_calls},
                    {"maximum_ns", std::chrono::nanoseconds(request.maximum_time).count()}};
    OUTCROP_TRY(watched, exchange_watched(frame, request, "timed-operators"));
    OUTCROP_TRY(timings, understood(read_timings(watched.reply, request, watched.waited)));
    timings.validity = std::move(watched.conditions);
    return timings;
  }

  Result<std::vector<ProbedAttempt>> probe(const std::filesystem::path& file, int port) {
    OUTCROP_TRY(reply, exchange({{{"type", "probe"}, {"file", file.string()}, {"port", port}}, {}},
                                options_.call_deadline, "probed"));
    std::vector<ProbedAttempt> attempts;
    for (const Json& entry : reply.header.value("attempts", Json::array())) {
      OUTCROP_TRY(what, get_string(entry, "what"));
      OUTCROP_TRY(refused, get_bool(entry, "refused"));
      OUTCROP_TRY(detail, get_string(entry, "detail"));
      attempts.push_back({std::move(what), refused, std::move(detail)});
    }
    return attempts;
  }

  void say_goodbye() {
    if (broken_) return;
    // A child that does not care is killed all the same.
    [[maybe_unused]] const Status sent =
        channel_.send({{{"type", "bye"}}, {}}, SteadyClock::now() + std::chrono::milliseconds(100));
    child_.end(std::chrono::milliseconds(200));
  }

  [[nodiscard]] const Hello& hello() const { return hello_; }
  [[nodiscard]] const ChildProcess& child() const { return child_; }
  [[nodiscard]] bool killed() const { return killed_; }

 private:
  // What a child that measures answered, and what the machine did meanwhile.
  struct Watched {
    Frame reply;
    Nanoseconds waited{0};
    Validity conditions;
  };
  Result<Watched> exchange_watched(const Frame& frame, const MeasureRequest& request, std::string_view expected) {
    const auto before = read_machine_state();
    const auto cpu_before = child_.cpu_time();
    OUTCROP_TRY(reply, exchange(frame, options_.call_deadline + request.maximum_time, expected));
    const auto cpu_after = child_.cpu_time();
    const auto after = read_machine_state();
    const auto own =
        cpu_before && cpu_after ? *cpu_after - *cpu_before : std::chrono::milliseconds(0);
    Watched watched{std::move(reply), after.when - before.when, judge(before, after, own, threads_)};
    if (!options_.launcher.empty()) {
      auto& reasons = watched.conditions.void_because;
      reasons.insert(reasons.begin(),
                     "emulated: " + std::filesystem::path(options_.launcher[0]).filename().string() +
                         " runs the runner here, whose times and memory say nothing of a board");
    }
    return watched;
  }

  Result<Frame> receive(std::string_view what, std::chrono::milliseconds patience,
                        std::string_view expected = "hello",
                        std::optional<Deadline> deadline = std::nullopt) {
    const Deadline end = deadline.value_or(SteadyClock::now() + patience);
    if (const Status watched = watch(end); !watched) return fail(give_up(watched.error(), what, patience));
    auto reply = channel_.receive(end);
    if (!reply) return fail(give_up(reply.error(), what, patience));
    if (reply->type() == "error") return fail(decode_error(reply->header));
    if (reply->type() != expected) {
      return fail(give_up(Error(ErrorCode::invalid_data,
                                "an answer of type '" + printable(reply->type(), 40) + "'"),
                          what, patience));
    }
    return reply;
  }

  // Waits for an answer to begin, or for `end`; meanwhile counts what no limit of the child's counts.
  Status watch(Deadline end) {
    static const std::uint64_t most = most_other_threads + most_threads_of_a_core * std::max(1U, std::thread::hardware_concurrency());
    for (;;) {
      // Not at each call: short ones would mostly wait for /proc.
      const auto now = SteadyClock::now();
      if (now >= next_count_) {
        next_count_ = now + between_counts;
        const auto threads = child_.status_line("Threads");
        if (threads && *threads > most) {
          return fail(ErrorCode::refused, "it had started " + std::to_string(*threads) + " threads, and a model needs " +
                                              std::to_string(most) + " at most on this machine");
        }
      }
      if (channel_.wait(std::min(end, next_count_)) || SteadyClock::now() >= end) return {};
    }
  }

  // Ends a child that can no longer be talked to and says why.
  Error give_up(const Error& error, std::string_view what, std::chrono::milliseconds patience) {
    const std::string during = " (at '" + std::string(what) + "')";
    if (error.code() == ErrorCode::timeout) {
      child_.end(std::chrono::milliseconds(0));
      return remember({ErrorCode::timeout, "the runner gave no answer within " + seconds(patience) +
                                               " and was ended" + during});
    }
    if (error.code() == ErrorCode::refused) {
      child_.end(std::chrono::milliseconds(0));
      return remember({ErrorCode::refused, "the runner was ended: " + error.message() + during});
    }
    if (error.code() == ErrorCode::invalid_data) {
      child_.end(std::chrono::milliseconds(0));
      return remember({ErrorCode::crashed,
                       "the runner broke its protocol and was ended: " + error.message() + during});
    }
    const ChildEnd end = child_.end(last_breath);
    const std::string words = child_.last_words();
    ErrorCode code = ErrorCode::crashed;
    std::string reason = "the runner " + end.describe() + during;
    if (end.by_signal && end.number == SIGXCPU) {
      code = ErrorCode::timeout;
      reason += ": it used up its CPU time";
    } else if (words.find("bad_alloc") != std::string::npos) {
      code = ErrorCode::out_of_memory;
    } else if (end.by_signal && end.number == SIGKILL) {
      killed_ = true;
      reason += ", as the kernel does to a process when memory runs out";
    }
    if (!words.empty()) reason += "; its last words: " + words;
    return remember({code, reason});
  }

  Error remember(Error error) {
    broken_ = error;
    return error;
  }

  // A reply that does not parse means a child that cannot be believed any more.
  template <class T>
  Result<T> understood(Result<T> value) {
    if (value) return value;
    return fail(give_up(value.error(), "reply", std::chrono::milliseconds(0)));
  }

  Status read_hello(const Json& header, Nanoseconds waited) {
    OUTCROP_TRY(engine, get_string(header, "engine"));
    OUTCROP_TRY(engine_version, get_string(header, "engine_version"));
    OUTCROP_TRY(backends, decode_backends(header.value("backends", Json())));
    OUTCROP_TRY(missing, get_strings(header, "missing"));
    OUTCROP_TRY(self_test, get_integer(header, "self_test_ns", 0, waited.count()));
    hello_.engine = std::move(engine);
    hello_.engine_version = std::move(engine_version);
    hello_.backends = std::move(backends);
    hello_.missing = std::move(missing);
    hello_.engine_start_time = Nanoseconds(self_test);
    check_with_kernel();
    hello_.confinement = hello_.missing.empty() ? Confinement::full : Confinement::reduced;
    return {};
  }

  // The kernel's own word on two of the child's claims.
  void check_with_kernel() {
    if (const auto mode = child_.status_line("Seccomp"); !mode || *mode != 2) {
      hello_.missing.emplace_back("the kernel shows no system call filter on the runner");
    }
    if (const auto set = child_.status_line("NoNewPrivs"); !set || *set != 1) {
      hello_.missing.emplace_back("the kernel shows that the runner may gain privileges");
    }
  }

  static Result<LoadReport> read_loaded(const Json& header, Nanoseconds waited) {
    LoadReport report;
    OUTCROP_TRY(inspection, decode_inspection(header.value("inspection", Json())));
    OUTCROP_TRY(load_time, get_integer(header, "load_ns", 0, waited.count()));
    report.inspection = std::move(inspection);
    report.load_time = Nanoseconds(load_time);
    const Json methods = header.value("methods", Json());
    if (!methods.is_object() || methods.size() > 1000) {
      return fail(ErrorCode::invalid_data, "malformed message: 'methods'");
    }
    for (const auto& [name, schema] : methods.items()) {
      OUTCROP_TRY(text, get_string(methods, name.c_str()));
      report.methods[printable(name, 200)] = std::move(text);
    }
    return report;
  }

  static Result<Measurement> read_measured(const Frame& reply, const MeasureRequest& request,
                                           Nanoseconds waited) {
    OUTCROP_TRY(first, get_integer(reply.header, "first_ns", 1, waited.count()));
    OUTCROP_TRY(warm_up, get_integer(reply.header, "warm_up_ns", 0, waited.count()));
    OUTCROP_TRY(tensors, decode_tensors(reply.header.value("tensors", Json()), reply.payload));
    if (tensors.size() != 1 || tensors[0].dtype != DType::int64 ||
        tensors[0].elements() > request.maximum_calls) {
      return fail(ErrorCode::invalid_data, "malformed message: samples");
    }
    Measurement measurement;
    measurement.first = Nanoseconds(first);
    Nanoseconds sum(first + warm_up);
    for (const std::int64_t sample : tensors[0].integers()) {
      if (sample < 0 || sample > waited.count()) {
        return fail(ErrorCode::invalid_data, "a call that took longer than all calls together");
      }
      measurement.samples.emplace_back(sample);
      sum += Nanoseconds(sample);
    }
    if (sum > waited) {
      return fail(ErrorCode::invalid_data, "calls that took longer than they were waited for");
    }
    OUTCROP_TRY(steady, summarize(measurement.samples));
    measurement.steady = steady;
    if (waited > shortest_checked_wait &&
        static_cast<double>(sum.count()) <
            least_share_of_wait * static_cast<double>(waited.count())) {
      measurement.validity.void_because.emplace_back(
          "the runner accounts for less than half of the time that its calls were waited for");
    }
    return measurement;
  }

  static Result<OperatorTimings> read_timings(const Frame& reply, const MeasureRequest& request, Nanoseconds waited) {
    OUTCROP_TRY(calls, get_integer(reply.header, "calls", 1, static_cast<std::int64_t>(request.maximum_calls)));
    OUTCROP_TRY(names, get_strings(reply.header, "operators"));
    OUTCROP_TRY(tensors, decode_tensors(reply.header.value("tensors", Json()), reply.payload));
    if (names.empty() || names.size() > most_operator_times || tensors.size() != 1 ||
        tensors[0].dtype != DType::int64 || tensors[0].elements() != names.size()) {
      return fail(ErrorCode::invalid_data, "malformed message: operators and their times");
    }
    OperatorTimings timings;
    timings.calls = static_cast<std::size_t>(calls);
    Nanoseconds left = waited;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::int64_t time = tensors[0].integers()[i];
      if (time < 0 || time > left.count()) {
        return fail(ErrorCode::invalid_data, "operators that took longer than they were waited for");
      }
      left -= Nanoseconds(time);
      timings.operators.push_back({std::move(names[i]), Nanoseconds(time)});
    }
    return timings;
  }

  ChildProcess child_;
  Channel channel_;
  RunnerOptions options_;
  Hello hello_;
  int threads_ = 1;
  std::map<std::string, Milliseconds> first_calls_;
  SteadyClock::time_point next_count_;  // of its threads
  std::optional<Error> broken_;
  bool killed_ = false;
};

Result<Runner> Runner::start(const RunnerOptions& options) {
  const auto start = SteadyClock::now();
  std::vector<std::string> command = options.launcher;
  command.push_back((options.program.empty() ? default_program() : options.program).string());
  command.emplace_back("--memory-limit");
  command.push_back(std::to_string(options.memory_limit.value()));
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(Error::from_errno("making a socket pair"));
  }
  Channel channel{UniqueFd(ends[0])};
  auto child = ChildProcess::start(command, runner_environment(), UniqueFd(ends[1]));
  if (!child) return fail(explained(child.error(), command.front()));
  auto impl = std::make_unique<Impl>(std::move(*child), std::move(channel), options);
  if (auto greeted = impl->greet(start); !greeted) {
    return fail(greeted.error().context("starting " + command.front()));
  }
  return Runner(std::move(impl));
}

Runner::Runner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;
Runner::~Runner() {
  if (impl_) impl_->say_goodbye();
}

const Hello& Runner::hello() const {
  return impl_->hello();
}
bool Runner::killed() const {
  return impl_->killed();
}

int Runner::process_id() const {
  return impl_->child().id();
}

Result<Inspection> Runner::inspect(const trust::VerifiedBlob& blob) {
  return impl_->inspect(blob);
}

Result<std::vector<std::string>> Runner::lacking(const std::vector<std::string>& operators) {
  return impl_->lacking(operators);
}

Result<LoadReport> Runner::load(const trust::VerifiedBlob& blob, const LoadRequest& request) {
  return impl_->load(blob, request);
}

Result<std::vector<Tensor>> Runner::infer(std::string_view method,
                                          std::span<const Value> arguments) {
  return impl_->infer(method, arguments);
}

Result<Measurement> Runner::measure(const MeasurementLock& /*held*/,
                                    const MeasureRequest& request) {
  return impl_->measure(request);
}

Result<OperatorTimings> Runner::time_operators(const MeasurementLock& /*held*/,
                                               const MeasureRequest& request) {
  return impl_->time_operators(request);
}

Result<std::vector<ProbedAttempt>> Runner::probe_confinement(const std::filesystem::path& file,
                                                             int port) {
  return impl_->probe(file, port);
}

Result<ByteCount> Runner::peak_memory() const {
  return impl_->child().peak_memory();
}

Status append(Measurement& total, const Measurement& round) {
  total.samples.insert(total.samples.end(), round.samples.begin(), round.samples.end());
  OUTCROP_TRY(steady, summarize(total.samples));
  total.steady = steady;
  total.peak_memory = std::max(total.peak_memory, round.peak_memory);
  const auto add = [](std::vector<std::string>& to, const std::vector<std::string>& from) {
    for (const auto& text : from) {
      if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(text);
    }
  };
  add(total.validity.void_because, round.validity.void_because);
  add(total.validity.unknown, round.validity.unknown);
  if (round.validity.other_load) {
    total.validity.other_load =
        std::max(total.validity.other_load.value_or(0), *round.validity.other_load);
  }
  return {};
}

}  // namespace outcrop::runtime
