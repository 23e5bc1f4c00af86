#pragma once

#include <utility>  // before Asio

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "protocol/base/log_histogram.hpp"

namespace outcrop::bench {

// Milliseconds, from when each was due.
struct Looked {
  LogHistogram list, page, scrape;
  LogHistogram event;  // from what a board said to the event of it, over all listeners
  std::uint64_t failures = 0;
};

// Who looks at the fleet all the time, in threads of their own: a list of boards ten times a second, the page each two
// seconds, a scrape each five, and clients of the event stream.
class Lookers {
 public:
  Lookers(std::filesystem::path socket, std::size_t listeners);
  ~Lookers();

  // A board says now that its owner holds updates back: listeners will hear of it.
  void expect(const std::string& board);
  // What was seen since the last call.
  [[nodiscard]] Looked take();
  [[nodiscard]] std::size_t listening() const { return listening_; }

 private:
  struct Listener;
  void look();
  void ask(const std::string& target, LogHistogram Looked::*of, std::chrono::steady_clock::time_point due);
  void listen(const std::shared_ptr<Listener>& listener);
  void listen_again(const std::shared_ptr<Listener>& listener);
  void read(const std::shared_ptr<Listener>& listener);
  void hear(Listener& listener, std::string_view event);

  std::filesystem::path socket_;
  std::mutex mutex_;
  Looked looked_;                                                        // by mutex_
  std::map<std::string, std::chrono::steady_clock::time_point> expected_;  // by mutex_
  std::atomic<bool> ended_{false};
  std::atomic<std::size_t> listening_{0};
  boost::asio::io_context loop_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  std::thread hears_;
  std::thread asks_;
};

}  // namespace outcrop::bench
