#pragma once

#include "bench/fleet/board.hpp"

#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace outcrop::bench {

// So many a second.
struct Rates {
  double telemetry = 0, reports = 0, heartbeats = 0;
};

// All boards, on one thread. What they say is due at fixed times, whatever the host does (open loop), each board in its
// turn of an order that the seed gives.
class Crowd {
 public:
  Crowd(boost::asio::io_context& loop, const Surroundings& all, std::vector<Identity> identities);

  // Runs until it is so, or for so long; whether it was.
  bool run_until(const std::function<bool()>& so, std::chrono::milliseconds longest);
  void run_for(std::chrono::milliseconds time);

  // Connects whoever is not, so many at once, from now on; 0: nobody.
  void keep_connected(std::size_t at_once) { at_once_ = at_once; }
  void say_at(const Rates& rates);

  [[nodiscard]] std::size_t connected() const;
  [[nodiscard]] std::size_t waiting() const;  // messages that are not acknowledged
  [[nodiscard]] const std::vector<std::unique_ptr<Board>>& boards() const { return boards_; }
  // By how much the generator itself was late at most, since the last call.
  [[nodiscard]] std::chrono::duration<double> latest() { return std::exchange(latest_, {}); }

 private:
  struct Turns {
    double a_second = 0;
    Board::Time next;
    std::size_t board = 0;
  };
  void tick();
  void connect_some();
  void say_again();
  void take_turns(Turns& turns, const std::function<void(Board&, Board::Time due)>& act);

  boost::asio::io_context* loop_;
  Surroundings all_;
  boost::asio::steady_timer timer_;
  std::vector<std::unique_ptr<Board>> boards_;  // in the order of their turns
  std::size_t at_once_ = 0;
  Turns telemetry_, reports_, heartbeats_;
  Board::Time said_again_;
  std::chrono::duration<double> latest_{0};
};

}  // namespace outcrop::bench
