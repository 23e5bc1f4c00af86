#pragma once

#include <utility>  // before Asio

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/deploy/fetch.hpp"
#include "agent/deploy/machine.hpp"
#include "agent/prove/fitting.hpp"
#include "agent/prove/layer_times.hpp"
#include "agent/prove/signal.hpp"
#include "agent/prove/trial.hpp"
#include "agent/prove/worker.hpp"
#include "platform/spawn/spawn.hpp"

namespace outcrop::agent {

// How a state's work ended.
struct Outcome {
  Event event = Event::failed;
  std::string reason;
};

// The work of each state. One step at a time; interrupt() makes the one at work return soon, and
// what it then returns means nothing. A trial that nobody waits for any more ends with the call it
// is at, unheard.
class Steps {
 public:
  Steps(boost::asio::any_io_executor executor, const DeployParts& parts, Machine& machine,
        Signal& changed);

  void begin();
  void interrupt();
  [[nodiscard]] bool interrupted() const { return interrupted_; }

  // Works for the state in which the machine's deployment is.
  [[nodiscard]] boost::asio::awaitable<Outcome> step();

  // Of a deployment that waits for what the owner allows: why it still does.
  [[nodiscard]] std::optional<std::string> still_waits() const;

  // That the release lies here whole, by hashing it; slots know from then on.
  [[nodiscard]] boost::asio::awaitable<Status> check_installed(Installed release);
  // Pulls what is missing of a release that was installed, and checks it. Waits for a connection.
  [[nodiscard]] boost::asio::awaitable<Status> pull_again(Installed release);

  // Proves and measures the release that serves, by the rules of a deployment. Errors: interrupted;
  // those of its files.
  struct Remeasured {
    messages::ReportedVariant variant;
    ProvedAgain result = ProvedAgain::not_possible;
    std::string in_words;  // the figures against the budget, or why there are none
    Result<std::vector<messages::VariantLayers>> layers;  // where they were asked for; empty without
  };
  enum class Layers { unasked, asked };
  [[nodiscard]] boost::asio::awaitable<Result<Remeasured>> measure_serving(Installed release,
                                                                           Layers layers = Layers::unasked);

  // What a runner that serves does; `interrupted` where interrupt() comes first, which does not wait for it.
  template <class T>
  [[nodiscard]] boost::asio::awaitable<Result<T>> unless_interrupted(boost::asio::awaitable<Result<T>> work) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    auto wait = [](std::shared_ptr<std::optional<Result<T>>> into, boost::asio::awaitable<Result<T>> what,
                   Signal& changed) -> boost::asio::awaitable<void> {
      into->emplace(co_await std::move(what));
      changed.notify();
    };
    platform::spawn(executor_, wait(answer, std::move(work), changed_));
    while (!answer->has_value() && !interrupted_) co_await changed_.wait();
    if (!answer->has_value()) co_return fail(ErrorCode::interrupted, "interrupted");
    co_return std::move(**answer);
  }

  // Has a runner say which engine it is, for whoever wants to know before a release does.
  void greet_engine();

  void forget();  // what was prepared for the deployment that has ended
  [[nodiscard]] Deployer::Work work() const { return work_; }
  [[nodiscard]] bool busy() const;

 private:
  using Awaitable = boost::asio::awaitable<Outcome>;

  Awaitable offered();
  Awaitable wait_for_permission();
  [[nodiscard]] std::optional<std::string> must_wait() const;
  [[nodiscard]] std::string pace_in_words() const;
  Awaitable downloading();
  Awaitable downloaded();
  Awaitable proving();
  Awaitable measuring();
  Awaitable updating();
  Awaitable soaking();
  [[nodiscard]] Outcome take_back();
  [[nodiscard]] Outcome unmeasurable(const std::string& why);
  // What a runner says of itself, and which of these operators it does not have.
  struct Answer {
    bool given = false;
    Result<runtime::Hello> hello;
    Result<std::vector<std::string>> missing_operators;
  };
  std::shared_ptr<Answer> ask_runner(std::vector<std::string> operators);
  boost::asio::awaitable<Result<Fitting>> find_fitting(messages::Manifest manifest);
  boost::asio::awaitable<Result<messages::Manifest>> fetch(Puller::Budget& budget);
  boost::asio::awaitable<bool> made_ready(Installed target);
  [[nodiscard]] std::optional<Installed> committed_before() const;
  [[nodiscard]] Outcome decided();
  void make_way();
  void start_trial();
  void on_transfer(const Puller::Budget& budget, ByteCount done, ByteCount total);

  // What is known of the release at work, from downloading to the decision.
  struct Plan {
    messages::Manifest manifest;
    Fitting fitting;
  };
  // A trial under way, shared with the thread that runs it.
  struct Trial {
    std::optional<TrialOutcome> outcome;
    bool measuring = false;
    std::shared_ptr<std::atomic<bool>> abandoned = std::make_shared<std::atomic<bool>>(false);
  };

  boost::asio::any_io_executor executor_;
  const DeployParts& parts_;
  Machine& machine_;
  Signal& changed_;
  bool interrupted_ = false;
  std::optional<Plan> plan_;
  std::shared_ptr<Trial> trial_;
  Deployer::Work work_;
  std::chrono::steady_clock::time_point announced_{};
  std::uint64_t saved_at_ = 0;
  bool waits_to_receive_ = false;            // and not for hours alone
  std::optional<std::string> stopped_since_;  // the transfer, and why
  std::shared_ptr<Answer> greeting_;

  Worker files_;                                     // hashes
  std::unique_ptr<Worker> trials_;                   // starts runners and measures
  std::vector<std::unique_ptr<Worker>> left_alone_;  // with trials that nobody waits for
  Fetcher fetcher_;
};

}  // namespace outcrop::agent
