#include "agent/deploy/steps.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "agent/deploy/by_hand.hpp"
#include "agent/prove/golden_files.hpp"
#include "protocol/blob/chunk_table.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {


// So often at least, what a deployment may still receive is written down.
constexpr std::uint64_t save_every = ByteCount::mib(8).value();
// Beside the bytes of blobs: headers of frames, answers that say "later".
constexpr std::uint64_t most_overhead = ByteCount::mib(1).value();

// What cannot be read may be readable a moment later.
constexpr int most_reads = 3;
constexpr std::chrono::milliseconds between_reads{100};

Status look_at(Slots& slots, const Installed& release) {
  OUTCROP_TRY(manifest, slots.manifest(release.manifest, release.manifest_size));
  if (manifest.variant(release.variant) == nullptr) {
    return fail(ErrorCode::not_found, "no such variant");
  }
  Status whole;
  // All of them: a damaged one is removed, and so pulled again.
  for (const auto& reference : needed_blobs(manifest, {release.variant})) {
    const auto blob = slots.blob(reference.sha256, reference.size);
    if (!blob && whole) whole = fail(blob.error());
  }
  return whole;
}

Outcome failed(const Error& error) {
  return {Event::failed, error.message()};
}

bool contains(const std::vector<std::string>& all, const std::string& name) {
  return std::find(all.begin(), all.end(), name) != all.end();
}

}  // namespace

Steps::Steps(asio::any_io_executor executor, const DeployParts& parts, Machine& machine,
             Signal& changed)
    : executor_(executor),
      parts_(parts),
      machine_(machine),
      changed_(changed),
      files_(executor),
      trials_(std::make_unique<Worker>(executor)),
      fetcher_(parts.puller, parts.slots, files_) {}

asio::awaitable<void> Steps::run(asio::awaitable<void> work) {
  work_ = {};
  interruption_ = std::stop_source();
  try {
    co_await std::move(work);
  } catch (const Cancelled&) {
  }
}

void Steps::stop() {
  stopped_ = true;
  interrupt();
}

bool Steps::busy() const {
  return files_.busy() || trials_->busy() || !left_alone_.empty();
}

std::optional<Installed> Steps::committed_before() const {
  const messages::Offer& offer = machine_.deployment().offer;
  for (const Installed& release : parts_.slots.installed()) {
    if (release.manifest != offer.manifest) continue;
    if (offer.variants.empty() || contains(offer.variants, release.variant)) return release;
  }
  return std::nullopt;
}

Steps::Awaitable Steps::offered() {
  Deployment& deployment = machine_.deployment();
  if (deployment.cancel) co_return take_back();
  const messages::Offer& offer = deployment.offer;
  const AgentConfig& config = parts_.config;
  if (offer.model != config.model) {
    co_return Outcome{Event::refused, "this board runs the model " + config.model +
                                          " and was offered " + offer.model};
  }
  if (offer.device_class != config.device_class) {
    co_return Outcome{Event::refused, "this board is of the class " + config.device_class +
                                          " and was offered a release for " + offer.device_class};
  }
  const bool held = machine_.record().held;
  if (!deployment.approved && (held || config.approve_updates)) {
    co_return Outcome{Event::owner_holds,
                      held ? "the owner (" + machine_.record().held_by + ") holds updates"
                           : "waits for the owner: outcrop-agent approve"};
  }
  if (auto why = must_wait()) co_return Outcome{Event::must_wait, std::move(*why)};
  if (const auto committed = committed_before()) {
    const Status allowed = parts_.metadata.check_run(committed->manifest);
    if (!allowed) co_return Outcome{Event::refused, allowed.error().message()};
    const Status whole = co_await check_installed(*committed, interruption());
    if (whole) {
      deployment.variant = committed->variant;
      deployment.offer.manifest_size = committed->manifest_size;
      co_return Outcome{Event::was_committed, "it served before: nothing to transfer"};
    }
    if (Slots::judge(whole) == Slots::Lies::unread) co_return failed(whole.error());
    spdlog::warn("pulling a release anew that lies here damaged: {}", whole.error().message());
  }
  Outcome outcome = co_await wait_for_permission();
  co_return outcome;
}

// What the owner brings is not limited by what he allows others.
std::optional<std::string> Steps::must_wait() const {
  const Deployment& deployment = machine_.deployment();
  if (is_by_hand(deployment)) return std::nullopt;
  if (auto why = parts_.limits.closed()) return why;
  return deployment.state == DeploymentState::downloading ? parts_.limits.may_not_receive() : std::nullopt;
}

// For whoever wonders, at a rollout's deadline, why it takes so long.
std::string Steps::pace_in_words() const {
  if (parts_.config.most_a_second.value() == 0 || is_by_hand(machine_.deployment())) return {};
  return "receives at most " + parts_.config.most_a_second.human() + " a second, as its owner allows";
}

std::optional<std::string> Steps::still_waits() const {
  if (auto why = parts_.limits.closed()) return why;
  return waits_to_receive_ ? parts_.limits.may_not_receive() : std::nullopt;
}

// Metadata may be on its way: the offer and the roles are different topics.
Steps::Awaitable Steps::wait_for_permission() {
  Deployment& deployment = machine_.deployment();
  auto deadline = SteadyClock::now() + parts_.times.metadata;
  bool said = false;
  for (;;) {
    const auto permitted =
        parts_.metadata.check_install(deployment.offer.manifest, deployment.offer.snapshot_version);
    if (permitted) {
      deployment.offer.manifest_size = permitted->size;
      co_return Outcome{Event::admitted, pace_in_words()};
    }
    const ErrorCode code = permitted.error().code();
    if (code != ErrorCode::not_found && code != ErrorCode::expired) {
      co_return Outcome{not_permitted_in(deployment.state), permitted.error().message()};
    }
    // Nothing can come without a connection: a link that is down speaks against no release.
    if (!parts_.puller.connected()) deadline = SteadyClock::now() + parts_.times.metadata;
    if (SteadyClock::now() >= deadline) {
      co_return Outcome{Event::failed, "metadata: " + permitted.error().message()};
    }
    if (!said) {
      spdlog::info("waiting for metadata: {}", permitted.error().message());
      deployment.reason = messages::as_reason("waits for metadata: " + permitted.error().message());
      machine_.announce();
      said = true;
    }
    co_await wait_for_change(deadline);
  }
}

Status Steps::on_transfer(Transfer& transfer, ByteCount done, ByteCount total) {
  work_.transfer = {done, total};
  Deployment& deployment = machine_.deployment();
  deployment.budget_left = transfer.budget.left;
  if (done != total) transfer.stopped_since = must_wait();
  if (transfer.stopped_since) return fail(ErrorCode::interrupted, *transfer.stopped_since);
  if (done.value() >= transfer.saved_at + save_every) {
    deployment.crashes.clear();  // it goes on, however often the power fails
    deployment.power_cuts.clear();
    transfer.saved_at = done.value();
    machine_.save();
  }
  const auto now = SteadyClock::now();
  if (now - transfer.announced < parts_.times.progress && done != total) return {};
  transfer.announced = now;
  parts_.announcer.progress(deployment, {}, work_.transfer);
  return {};
}

asio::awaitable<Result<Steps::Plan>> Steps::fetch(Transfer& transfer) {
  const messages::Offer offer = machine_.deployment().offer;
  auto manifest = co_await fetcher_.manifest(offer.manifest, offer.manifest_size, transfer.budget, interruption());
  if (!manifest) co_return fail(std::move(manifest).error());
  if (manifest->model != parts_.config.model) {
    co_return fail(ErrorCode::untrusted, "the release is of the model " + manifest->model);
  }
  for (const std::string& name : offer.variants) {
    if (manifest->variant(name) != nullptr) continue;
    co_return fail(ErrorCode::not_found, "the release has no variant '" + name + "'");
  }
  // Before the first byte of a variant is asked for.
  auto fitting = co_await find_fitting(*manifest);
  if (!fitting) co_return fail(std::move(fitting).error());
  Plan plan{std::move(*manifest), std::move(*fitting)};
  Puller::Progress progress = [this, &transfer](ByteCount done, ByteCount total) {
    return on_transfer(transfer, done, total);
  };
  Status fetched =
      co_await fetcher_.blobs(plan.manifest, plan.fitting.variants, transfer.budget, progress, interruption());
  if (!fetched && fetched.error().code() == ErrorCode::no_space) {
    const auto keep = all_digests(offer.manifest, plan.manifest);
    if (auto cleaned = parts_.slots.make_room(
            keep, room_wanted(parts_.slots, needed_blobs(plan.manifest, plan.fitting.variants))); !cleaned) {
      spdlog::warn("making room: {}", cleaned.error().message());
    }
    fetched =
        co_await fetcher_.blobs(plan.manifest, plan.fitting.variants, transfer.budget, progress, interruption());
  }
  if (!fetched) co_return fail(fetched.error());
  co_return plan;
}

Steps::Awaitable Steps::downloading(Plan& plan) {
  // Again, since this is also where a killed agent goes on.
  const Outcome permission = co_await wait_for_permission();
  if (permission.event != Event::admitted) co_return permission;
  waits_to_receive_ = parts_.limits.may_not_receive().has_value();
  if (auto why = must_wait()) co_return Outcome{Event::must_wait, std::move(*why)};
  Transfer transfer;
  transfer.budget.left = machine_.deployment().budget_left;
  auto fetched = co_await fetch(transfer);
  machine_.deployment().budget_left = transfer.budget.left;
  if (!fetched && transfer.stopped_since) {
    waits_to_receive_ = parts_.limits.may_not_receive().has_value();
    co_return Outcome{Event::must_wait, *transfer.stopped_since};
  }
  if (!fetched) {
    // This agent is too old for the manifest, or this board's engine for every variant.
    const bool not_for_us = fetched.error().code() == ErrorCode::unsupported;
    co_return Outcome{not_for_us ? Event::refused : Event::failed, fetched.error().message()};
  }
  plan = std::move(*fetched);
  co_return Outcome{Event::pulled, {}};
}

Steps::Awaitable Steps::downloaded(const Plan& plan) {
  struct Shared {
    messages::Manifest manifest;
    Status status;
  };
  auto shared = std::make_shared<Shared>(Shared{plan.manifest, {}});
  std::function<void()> job = [shared, slots = &parts_.slots] {
    if (auto goldens = read_goldens(*slots, shared->manifest); !goldens) {
      shared->status = fail(std::move(goldens).error());
    }
  };
  co_await files_.run(std::move(job), interruption());
  if (!shared->status) co_return failed(shared->status.error());
  co_return Outcome{Event::verified, {}};
}

Steps::Awaitable Steps::verified() {
  co_return Outcome{Event::proving_starts, {}};
}

asio::awaitable<Status> Steps::check_installed(Installed release, std::stop_token interruption) {
  auto status = std::make_shared<Status>();
  std::function<void()> job = [status, release, slots = &parts_.slots] {
    *status = look_at(*slots, release);
    for (int i = 1; i < most_reads && !*status && status->error().code() == ErrorCode::io; ++i) {
      std::this_thread::sleep_for(between_reads);
      *status = look_at(*slots, release);
    }
  };
  throw_if_cancelled(interruption);
  co_await files_.run(std::move(job));
  // Also of who was interrupted: what is damaged was removed.
  parts_.slots.found(release, Slots::judge(*status));
  throw_if_cancelled(interruption);
  co_return *status;
}

// What it may receive is known from the release itself: its sizes were signed and committed once.
asio::awaitable<Status> Steps::pull_again(Installed release) {
  constexpr std::uint64_t twice = 2;  // a chunk may come twice
  Puller::Budget for_manifest{ByteCount(twice * release.manifest_size.value() + most_overhead)};
  auto manifest =
      co_await fetcher_.manifest(release.manifest, release.manifest_size, for_manifest, interruption());
  if (!manifest) co_return fail(std::move(manifest).error());
  // Once the manifest is here, all that it names can be looked at.
  Status whole = co_await check_installed(release, interruption());
  if (whole) co_return whole;
  std::uint64_t total = most_overhead;
  for (const auto& reference : needed_blobs(*manifest, {release.variant})) {
    total += reference.size.value() + blob::table_size(reference.size).value();
  }
  Puller::Budget budget{ByteCount(twice * total)};
  const std::vector<std::string> variants{release.variant};
  Puller::Progress nobody_asks = [](ByteCount, ByteCount) { return Status(); };
  Status fetched = co_await fetcher_.blobs(*manifest, variants, budget, std::move(nobody_asks), interruption());
  if (!fetched) co_return fetched;
  whole = co_await check_installed(release, interruption());
  co_return whole;
}

void Steps::greet_engine() {
  greeting_ = ask_runner({});
}

std::shared_ptr<Steps::Answer> Steps::ask_runner(std::vector<std::string> operators) {
  auto answer = std::make_shared<Answer>();
  std::function<void()> job = [answer, operators = std::move(operators),
                               options = runner_options(parts_.config)] {
    auto runner = runtime::Runner::start(options);
    if (!runner) {
      answer->hello = fail(runner.error().context("the runner does not start"));
      return;
    }
    answer->hello = runner->hello();
    if (!operators.empty()) answer->missing_operators = runner->lacking(operators);
  };
  trials_->post(std::move(job), [this, answer] {
    answer->given = true;
    if (const auto& hello = answer->hello) {
      parts_.engine = *hello;
      spdlog::info("engine {} {}, confinement {}", hello->engine, hello->engine_version,
                   runtime::to_string(hello->confinement));
    } else {
      spdlog::error("{}", hello.error().message());
    }
    changed_.notify();
  });
  return answer;
}

// The runner is asked anew for each release: it may have been replaced since the agent started.
asio::awaitable<Result<Fitting>> Steps::find_fitting(messages::Manifest manifest) {
  if (greeting_->given) make_way();
  std::set<std::string> operators;
  for (const messages::Variant& variant : manifest.variants) {
    operators.insert(variant.operators.begin(), variant.operators.end());
  }
  const auto answer = ask_runner({operators.begin(), operators.end()});
  while (!answer->given) co_await wait_for_change();
  if (!answer->hello) {
    co_return fail(Error(ErrorCode::crashed, answer->hello.error().message()));
  }
  if (!answer->missing_operators) {
    co_return fail(answer->missing_operators.error().context("asking the runner what it can run"));
  }
  const auto fit_now = [&] {
    return fit(manifest, machine_.deployment().offer.variants, *answer->hello,
               {parts_.config.memory_limit, parts_.times.available_memory(), *answer->missing_operators});
  };
  Fitting fitting = fit_now();
  if (fitting.short_of_memory && parts_.serving.loaded()) {
    // What serves is loaded again with the next call.
    co_await parts_.serving.rest();
    throw_if_cancelled(interruption());
    fitting = fit_now();
  }
  if (!fitting.variants.empty()) co_return fitting;
  // For the report: nothing was tried.
  machine_.deployment().variants = fitting.left_out;
  std::string why = "no variant of this release can run here";
  for (const auto& variant : fitting.left_out) why += "; " + variant.name + " " + variant.reason;
  co_return fail(ErrorCode::unsupported, why);
}

}  // namespace outcrop::agent
