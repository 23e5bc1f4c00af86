#include "agent/prove/serving.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include <boost/asio/steady_timer.hpp>

#include "agent/prove/fitting.hpp"
#include "agent/prove/golden_files.hpp"
#include "agent/prove/largest_answer.hpp"
#include "agent/prove/trial.hpp"
#include "agent/wait/worker.hpp"
#include "runtime/runner/signed_values.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

struct Loaded {
  Installed release;
  messages::Manifest manifest;
  runtime::ProofCall first;  // of the golden calls
  runtime::Runner runner;
};

// A thread and the runner that it started.
struct Seat {
  explicit Seat(const asio::any_io_executor& executor) : worker(executor) {}
  std::atomic<bool> is_loaded = false;
  // Of the worker's thread:
  std::optional<Loaded> loaded;
  bool loading = false;  // a runner had started when loading failed
  // Last, so that its thread ends first. It then runs no job, but Loaded's runner was started by
  // that thread and is ended by it or by the kernel.
  Worker worker;

  void forget() {
    loaded.reset();
    is_loaded = false;
  }
};

}  // namespace

class Serving::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, const AgentConfig& config, Slots& slots,
       std::chrono::milliseconds idle)
      : config_(config), slots_(slots), idle_(idle), timer_(executor), executor_(executor),
        serving_(std::make_unique<Seat>(executor)) {}

  // The one that answers for that release; where it was made ready, that one from now on.
  Seat& seat_of(const Installed& release) {
    if (ready_ != release) return *serving_;
    ready_.reset();
    serving_.swap(spare_);
    spare_->worker.post([seat = spare_.get()] { seat->forget(); }, nullptr);
    return *serving_;
  }

  asio::awaitable<void> run(Seat& seat, std::function<void()> job) {
    timer_.cancel();
    co_await seat.worker.run(std::move(job));
    end_when_idle();
  }

  asio::awaitable<Status> make_ready(Installed release, ByteCount engine, ByteCount available) {
    if (!spare_) spare_ = std::make_unique<Seat>(executor_);
    ready_.reset();
    Seat& seat = *spare_;
    Status status;
    std::function<void()> job = [&] {
      status = has_room(release, engine, available);
      if (status) status = prove(seat, release);
      if (!status) seat.forget();
    };
    co_await run(seat, std::move(job));
    if (status) ready_ = release;  // where it was ended meanwhile, it is loaded again with its first call
    co_return status;
  }

  // The rest is for the seat's thread.

  Status has_room(const Installed& release, ByteCount engine, ByteCount available) {
    OUTCROP_TRY(manifest, slots_.manifest(release.manifest, release.manifest_size));
    const messages::Variant* const variant = manifest.variant(release.variant);
    const std::string lack = variant == nullptr ? "" : lack_of_memory(*variant, engine, available);  // load() misses it by name
    return lack.empty() ? Status() : fail(ErrorCode::out_of_memory, lack);
  }

  Result<Loaded*> load(Seat& seat, const Installed& release) {
    if (seat.loaded && seat.loaded->release == release) return &*seat.loaded;
    seat.loading = false;
    seat.forget();
    OUTCROP_TRY(manifest, slots_.manifest(release.manifest, release.manifest_size));
    const messages::Variant* variant = manifest.variant(release.variant);
    if (variant == nullptr) {
      return fail(ErrorCode::not_found, "the release has no variant '" + release.variant + "'");
    }
    OUTCROP_TRY(goldens, read_goldens(slots_, manifest));
    OUTCROP_TRY(blob, slots_.blob(variant->blob.sha256, variant->blob.size));
    OUTCROP_TRY(runner, runtime::Runner::start(runner_options(config_)));
    seat.loading = true;
    OUTCROP_TRY(report, runner.load(blob, load_request(*variant, config_.threads)));
    (void)report;
    seat.loaded.emplace(
        Loaded{release, std::move(manifest), std::move(goldens.front()), std::move(runner)});
    seat.is_loaded = true;
    return &*seat.loaded;
  }

  // `end` stays empty where nothing was asked of the release.
  Result<std::vector<runtime::Tensor>> infer(Seat& seat, const Installed& release, NamedArguments arguments,
                                             std::optional<CallEnd>& end) {
    auto loaded = load(seat, release);
    if (!loaded) {
      count_call(std::nullopt);
      if (is_broken(loaded.error()) && seat.loading) end = CallEnd::broke;
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
      if (is_broken(outputs.error())) lose(seat);
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

  void lose(Seat& seat) {
    ++restarts_;
    seat.forget();
  }

  Status prove(Seat& seat, const Installed& release) {
    OUTCROP_TRY(loaded, load(seat, release));
    const auto proof = runtime::prove(loaded->runner, std::span(&loaded->first, 1));
    if (!proof) {
      if (is_broken(proof.error())) lose(seat);
      return fail(proof.error());
    }
    const messages::Variant* variant = loaded->manifest.variant(release.variant);
    return runtime::check_tolerances(*proof, tolerances(*variant));
  }

  Result<Drawing> draw(Seat& seat, const Installed& release) {
    OUTCROP_TRY(loaded, load(seat, release));
    const auto outputs = loaded->runner.infer(loaded->first.method, loaded->first.arguments);
    if (!outputs) {
      if (is_broken(outputs.error())) lose(seat);
      return fail(outputs.error());
    }
    const messages::Output& first = loaded->manifest.signature.method(loaded->first.method)->outputs.front();
    if (outputs->empty()) return fail(ErrorCode::invalid_data, "it answered nothing");
    OUTCROP_TRY(map, runtime::first_map(first, outputs->front()));
    return Drawing{first.name, std::move(map)};
  }

  [[nodiscard]] std::vector<Seat*> seats() const {
    return spare_ ? std::vector<Seat*>{serving_.get(), spare_.get()} : std::vector<Seat*>{serving_.get()};
  }

  void end() {
    ready_.reset();
    for (Seat* seat : seats()) seat->worker.post([seat] { seat->forget(); }, nullptr);
  }

  const AgentConfig& config_;
  Slots& slots_;
  std::chrono::milliseconds idle_;
  asio::steady_timer timer_;
  std::function<void(const Installed&, CallEnd)> listener_;
  std::atomic<std::uint64_t> restarts_ = 0;
  std::mutex served_mutex_;
  ServedCalls served_;  // guarded by served_mutex_
  asio::any_io_executor executor_;
  std::optional<Installed> ready_;  // loaded in the spare seat
  // Last, so that their threads end first.
  std::unique_ptr<Seat> serving_;
  std::unique_ptr<Seat> spare_;  // from the first use on

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
  Seat& seat = impl->seat_of(release);
  std::function<void()> job = [&] { result = impl->infer(seat, release, std::move(arguments), end); };
  co_await impl->run(seat, std::move(job));
  if (end && impl->listener_) impl->listener_(release, *end);
  co_return result;
}

asio::awaitable<Status> Serving::prove(Installed release) {
  Status status;
  auto impl = impl_;
  Seat& seat = impl->seat_of(release);
  std::function<void()> job = [&] { status = impl->prove(seat, release); };
  co_await impl->run(seat, std::move(job));
  co_return status;
}

asio::awaitable<Status> Serving::make_ready(Installed release, ByteCount engine, ByteCount available) {
  auto impl = impl_;
  Status status = co_await impl->make_ready(std::move(release), engine, available);
  co_return status;
}

asio::awaitable<Result<Serving::Drawing>> Serving::draw(Installed release) {
  Result<Drawing> result;
  auto impl = impl_;
  Seat& seat = impl->seat_of(release);
  std::function<void()> job = [&] { result = impl->draw(seat, release); };
  co_await impl->run(seat, std::move(job));
  co_return result;
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
  impl->end();
  for (Seat* seat : impl->seats()) {
    std::function<void()> nothing = [] {};
    co_await seat->worker.run(std::move(nothing));  // after what end() gave it
  }
}

bool Serving::loaded() const {
  const auto seats = impl_->seats();
  return std::any_of(seats.begin(), seats.end(), [](const Seat* seat) { return seat->is_loaded.load(); });
}

bool Serving::busy() const {
  const auto seats = impl_->seats();
  return std::any_of(seats.begin(), seats.end(), [](const Seat* seat) { return seat->worker.busy(); });
}

}  // namespace outcrop::agent
