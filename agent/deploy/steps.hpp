#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/deploy/fetch.hpp"
#include "agent/deploy/machine.hpp"
#include "agent/prove/fitting.hpp"
#include "agent/prove/layer_times.hpp"
#include "agent/wait/signal.hpp"
#include "agent/prove/trial.hpp"
#include "agent/wait/worker.hpp"
#include "platform/spawn/spawn.hpp"

namespace outcrop::agent {

// How a state's work ended.
struct Outcome {
  Event event = Event::failed;
  std::string reason;
};

// The work of each state, and of what is done between deployments. One at a time, under run(): interrupt() has its awaits throw
// Cancelled, and run() is where that ends.
class Steps {
 public:
  Steps(boost::asio::any_io_executor executor, const DeployParts& parts, Machine& machine,
        Signal& changed);

  using Awaitable = boost::asio::awaitable<Outcome>;
  using SteadyClock = std::chrono::steady_clock;

  // Returns when `work` ends or was interrupted; whoever did that has changed the record already.
  [[nodiscard]] boost::asio::awaitable<void> run(boost::asio::awaitable<void> work);
  void interrupt() { interruption_.request_stop(); }
  // Interrupted for good.
  void stop();
  [[nodiscard]] bool stopped() const { return stopped_; }

  // Of what run() runs.
  [[nodiscard]] std::stop_token interruption() const { return interruption_.get_token(); }
  // Until somebody says that something changed, or the time is over.
  [[nodiscard]] boost::asio::awaitable<void> wait_for_change(
      SteadyClock::time_point deadline = SteadyClock::time_point::max()) {
    return changed_.wait_until(deadline, interruption());
  }

  // What is known of the release at work, from downloading to the decision.
  struct Plan {
    messages::Manifest manifest;
    Fitting fitting;
  };
  // A trial under way. One that nobody waits for any more ends with the call it is at, unheard: from the moment that it is
  // interrupted, not from when that is unwound.
  class Trial {
   public:
    explicit Trial(const std::stop_token& interruption)
        : interrupted_(interruption, [state = state_] { state->abandoned.request_stop(); }) {}
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;
    ~Trial() { state_->abandoned.request_stop(); }

   private:
    friend class Steps;
    struct State {  // shared with what its thread posts
      std::optional<TrialOutcome> outcome;
      bool measuring = false;
      std::stop_source abandoned;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
    std::stop_callback<std::function<void()>> interrupted_;
  };

  // Each works for the state of its name, in which the machine's deployment is. What it is given must live until it ends.
  [[nodiscard]] Awaitable offered();
  [[nodiscard]] Awaitable downloading(Plan& plan);  // fills it in
  [[nodiscard]] Awaitable downloaded(const Plan& plan);
  [[nodiscard]] Awaitable verified();
  [[nodiscard]] Awaitable proving(const Plan& plan, Trial& trial);  // begins it
  [[nodiscard]] Awaitable measuring(const Plan& plan, const Trial& trial);
  [[nodiscard]] Awaitable updating();
  [[nodiscard]] Awaitable soaking();

  // Of a deployment that waits for what the owner allows: why it still does.
  [[nodiscard]] std::optional<std::string> still_waits() const;

  // That the release lies here whole, by hashing it; slots know from then on.
  [[nodiscard]] boost::asio::awaitable<Status> check_installed(Installed release, std::stop_token interruption = {});
  // Pulls what is missing of a release that was installed, and checks it. Waits for a connection.
  [[nodiscard]] boost::asio::awaitable<Status> pull_again(Installed release);

  // Proves and measures the release that serves, by the rules of a deployment. Errors: those of its files.
  struct Remeasured {
    messages::ReportedVariant variant;
    ProvedAgain result = ProvedAgain::not_possible;
    std::string in_words;  // the figures against the budget, or why there are none
    Result<std::vector<messages::VariantLayers>> layers;  // where they were asked for; empty without
  };
  enum class Layers { unasked, asked };
  [[nodiscard]] boost::asio::awaitable<Result<Remeasured>> measure_serving(Installed release,
                                                                           Layers layers = Layers::unasked);

  // What a runner that serves does; an interruption does not wait for it.
  template <class T>
  [[nodiscard]] boost::asio::awaitable<Result<T>> unless_interrupted(boost::asio::awaitable<Result<T>> work) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    auto wait = [](std::shared_ptr<std::optional<Result<T>>> into, boost::asio::awaitable<Result<T>> what,
                   Signal& changed) -> boost::asio::awaitable<void> {
      into->emplace(co_await std::move(what));
      changed.notify();
    };
    platform::spawn(executor_, wait(answer, std::move(work), changed_));
    while (!answer->has_value()) co_await wait_for_change();
    co_return std::move(**answer);
  }

  // Has a runner say which engine it is, for whoever wants to know before a release does.
  void greet_engine();

  [[nodiscard]] Deployer::Work work() const { return work_; }
  [[nodiscard]] bool busy() const;

 private:
  Awaitable wait_for_permission();
  [[nodiscard]] std::optional<std::string> must_wait() const;
  [[nodiscard]] std::string pace_in_words() const;
  [[nodiscard]] Outcome take_back();
  [[nodiscard]] Outcome unmeasurable(const Plan& plan, const std::string& why);
  // What a runner says of itself, and which of these operators it does not have.
  struct Answer {
    bool given = false;
    Result<runtime::Hello> hello;
    Result<std::vector<std::string>> missing_operators;
  };
  std::shared_ptr<Answer> ask_runner(std::vector<std::string> operators);
  boost::asio::awaitable<Result<Fitting>> find_fitting(messages::Manifest manifest);
  // What a transfer does beside receiving.
  struct Transfer {
    Puller::Budget budget{};
    std::optional<std::string> stopped_since;  // the owner allows it no longer, and why
    std::uint64_t saved_at = 0;
    std::chrono::steady_clock::time_point announced{};
  };
  boost::asio::awaitable<Result<Plan>> fetch(Transfer& transfer);
  boost::asio::awaitable<bool> made_ready(Installed target);
  [[nodiscard]] std::optional<Installed> committed_before() const;
  [[nodiscard]] Outcome decided(const Plan& plan, const TrialOutcome& tried);
  void make_way();
  void start(const Plan& plan, Trial& trial);
  Status on_transfer(Transfer& transfer, ByteCount done, ByteCount total);

  boost::asio::any_io_executor executor_;
  const DeployParts& parts_;
  Machine& machine_;
  Signal& changed_;
  std::stop_source interruption_;
  bool stopped_ = false;
  Deployer::Work work_;
  bool waits_to_receive_ = false;  // HELD, and not for hours alone
  std::shared_ptr<Answer> greeting_;

  Worker files_;                                     // hashes
  std::unique_ptr<Worker> trials_;                   // starts runners and measures
  std::vector<std::unique_ptr<Worker>> left_alone_;  // with trials that nobody waits for
  Fetcher fetcher_;
};

}  // namespace outcrop::agent
