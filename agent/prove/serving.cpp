#include "agent/prove/serving.hpp"

#include <atomic>
#include <mutex>
#include <optional>
#include <span>

#include <boost/asio/steady_timer.hpp>

#include "agent/prove/golden_files.hpp"
#include "agent/prove/largest_answer.hpp"
#include "agent/prove/trial.hpp"
#include "agent/prove/worker.hpp"
#include "runtime/runner/signed_values.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

// What is loaded; used by the worker's thread only.
struct Loaded {
  Installed release;
  messages::Manifest manifest;
  runtime::ProofCall first;  // of the golden calls
  runtime::Runner runner;
};

}  // namespace

class Serving::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, const AgentConfig& config, Slots& slots,
       std::chrono::milliseconds idle)
      : config_(config), slots_(slots), idle_(idle), timer_(executor), worker_(executor) {}

  asio::awaitable<void> run(std::function<void()> job) {
    timer_.cancel();
    co_await worker_.run(std::move(job));
    end_when_idle();
  }

  // The rest is for the worker's thread.

  Result<Loaded*> load(const Installed& release) {
    if (loaded_ && loaded_->release == release) return &*loaded_;
    loading_ = false;
    forget();
    OUTCROP_TRY(manifest, slots_.manifest(release.manifest, release.manifest_size));
    const messages::Variant* variant = manifest.variant(release.variant);
    if (variant == nullptr) {
      return fail(ErrorCode::not_found, "the release has no variant '" + release.variant + "'");
    }
    OUTCROP_TRY(goldens, read_goldens(slots_, manifest));
    OUTCROP_TRY(blob, slots_.blob(variant->blob.sha256, variant->blob.size));
    OUTCROP_TRY(runner, runtime::Runner::start(runner_options(config_)));
    loading_ = true;
    OUTCROP_TRY(report, runner.load(blob, load_request(*variant, config_.threads)));
    (void)report;
    loaded_.emplace(
        Loaded{release, std::move(manifest), std::move(goldens.front()), std::move(runner)});
    is_loaded_ = true;
    return &*loaded_;
  }

  // `end` stays empty where nothing was asked of the release.
  Result<std::vector<runtime::Tensor>> infer(const Installed& release, NamedArguments arguments,
                                             std::optional<CallEnd>& end) {
    auto loaded = load(release);
    if (!loaded) {
      count_call(std::nullopt);
      if (is_broken(loaded.error()) && loading_) end = CallEnd::broke;
      return fail(std::move(loaded).error());
    }
    const messages::Method& method = (*loaded)->manifest.signature.serves();
    OUTCROP_TRY(call, call_of(method, std::move(arguments), largest_answer()));
    const auto begun = std::chrono::steady_clock::now();
    auto outputs = (*loaded)->runner.infer(method.name, call.arguments);
    if (!outputs) {
      count_call(std::nullopt);
      // The kernel's want of memory is not the release's crash.
      const bool broke = is_broken(outputs.error()) && !(*loaded)->runner.killed();
      end = broke ? CallEnd::broke : CallEnd::failed;
      if (is_broken(outputs.error())) lose();
      return outputs;
    }
    count_call(std::chrono::steady_clock::now() - begun);
    end = CallEnd::answered;
    OUTCROP_CHECK(runtime::name_outputs(method, call.sizes, *outputs));
    return outputs;
  }

  // None: it failed.
  void count_call(std::optional<std::chrono::duration<double, std::milli>> took) {
    const std::scoped_lock lock(served_mutex_);
    ++served_.calls;
    if (took) {
      served_.latency_ms.add(took->count());
    } else {
      ++served_.errors;
    }
  }

  void lose() {
    ++restarts_;
    forget();
  }

  Status prove(const Installed& release) {
    OUTCROP_TRY(loaded, load(release));
    const auto proof = runtime::prove(loaded->runner, std::span(&loaded->first, 1));
    if (!proof) {
      if (is_broken(proof.error())) lose();
      return fail(proof.error());
    }
    const messages::Variant* variant = loaded->manifest.variant(release.variant);
    return runtime::check_tolerances(*proof, tolerances(*variant));
  }

  void forget() {
    loaded_.reset();
    is_loaded_ = false;
  }

  void end() {
    worker_.post([self = this] { self->forget(); }, nullptr);
  }

  const AgentConfig& config_;
  Slots& slots_;
  std::chrono::milliseconds idle_;
  asio::steady_timer timer_;
  std::function<void(const Installed&, CallEnd)> listener_;
  std::atomic<bool> is_loaded_ = false;
  std::atomic<std::uint64_t> restarts_ = 0;
  std::mutex served_mutex_;
  ServedCalls served_;  // guarded by served_mutex_
  // Of the worker's thread:
  std::optional<Loaded> loaded_;
  bool loading_ = false;  // a runner had started when loading failed
  // Last, so that its thread ends first. It then runs no job, but Loaded's runner was started by
  // that thread and is ended by it or by the kernel.
  Worker worker_;

 private:
  // After these a runner answers no more.
  static bool is_broken(const Error& error) {
    return error.code() == ErrorCode::crashed || error.code() == ErrorCode::timeout ||
           error.code() == ErrorCode::out_of_memory || error.code() == ErrorCode::io;
  }

  void end_when_idle() {
    timer_.expires_after(idle_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self) self->end();
    });
  }
};

Serving::Serving(asio::any_io_executor executor, const AgentConfig& config, Slots& slots,
                 std::chrono::milliseconds idle)
    : impl_(std::make_shared<Impl>(std::move(executor), config, slots, idle)) {}

Serving::~Serving() = default;

asio::awaitable<Result<std::vector<runtime::Tensor>>> Serving::infer(Installed release,
                                                                     NamedArguments arguments) {
  Result<std::vector<runtime::Tensor>> result;
  auto impl = impl_;
  std::optional<CallEnd> end;
  std::function<void()> job = [&] { result = impl->infer(release, std::move(arguments), end); };
  co_await impl->run(std::move(job));
  if (end && impl->listener_) impl->listener_(release, *end);
  co_return result;
}

asio::awaitable<Status> Serving::prove(Installed release) {
  Status status;
  auto impl = impl_;
  std::function<void()> job = [&] { status = impl->prove(release); };
  co_await impl->run(std::move(job));
  co_return status;
}

void Serving::tell(std::function<void(const Installed&, CallEnd)> listener) {
  impl_->listener_ = std::move(listener);
}

ServedCalls Serving::take_served() {
  const std::scoped_lock lock(impl_->served_mutex_);
  return std::exchange(impl_->served_, {});
}

std::uint64_t Serving::restarts() const {
  return impl_->restarts_;
}

void Serving::end() {
  impl_->end();
}

asio::awaitable<void> Serving::rest() {
  auto impl = impl_;
  std::function<void()> job = [impl] { impl->forget(); };
  co_await impl->worker_.run(std::move(job));
}

bool Serving::loaded() const {
  return impl_->is_loaded_;
}

bool Serving::busy() const {
  return impl_->worker_.busy();
}

}  // namespace outcrop::agent
