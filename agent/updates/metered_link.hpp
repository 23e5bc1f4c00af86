#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace outcrop::agent {

// Whether the board's connection costs, by NetworkManager's word (its property Metered), over the system's D-Bus. It is asked once, and
// listened to from then on. Where nobody answers, as on boards without NetworkManager, the link is taken for one that does not cost, which
// the log says, and it is asked again; what it said last counts meanwhile. Lives on the executor; never blocks.
class MeteredLink {
 public:
  struct Times {
    std::chrono::milliseconds answer{5'000};
    std::chrono::milliseconds again{20'000};  // between attempts
  };
  explicit MeteredLink(boost::asio::any_io_executor executor) : MeteredLink(std::move(executor), Times()) {}
  MeteredLink(boost::asio::any_io_executor executor, Times times);
  ~MeteredLink();

  void start();
  // Nothing runs on the executor afterwards.
  void stop();

  // Why nothing should be received; none where it may be. Until the first answer, or that there is none: that it is waited for.
  [[nodiscard]] std::optional<std::string> costs() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
