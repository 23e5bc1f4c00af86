#include "bench/fleet/crowd.hpp"

#include <algorithm>

namespace outcrop::bench {

namespace {

constexpr std::chrono::milliseconds tick_every{5};

}  // namespace

Crowd::Crowd(boost::asio::io_context& loop, const Surroundings& all, std::vector<Identity> identities)
    : loop_(&loop), all_(all), timer_(loop) {
  std::shuffle(identities.begin(), identities.end(), all_.random);
  for (Identity& identity : identities) {
    boards_.push_back(std::make_unique<Board>(all_, std::move(identity), "raspberry-pi-4"));
  }
  tick();
}

void Crowd::tick() {
  timer_.expires_after(tick_every);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    connect_some();
    take_turns(telemetry_, [](Board& board, Board::Time due) { board.tell(due); });
    take_turns(reports_, [](Board& board, Board::Time due) { board.measure_again(due); });
    take_turns(heartbeats_, [](Board& board, Board::Time) { board.beat(); });
    say_again();
    tick();
  });
}

void Crowd::connect_some() {
  if (at_once_ == 0) return;
  auto room = static_cast<std::ptrdiff_t>(at_once_);
  for (const auto& board : boards_) room -= board->connecting() ? 1 : 0;
  for (const auto& board : boards_) {
    if (room <= 0) return;
    if (board->connected() || board->connecting()) continue;
    board->connect();
    --room;
  }
}

void Crowd::say_again() {
  const auto now = std::chrono::steady_clock::now();
  if (now - said_again_ < std::chrono::seconds(1)) return;
  said_again_ = now;
  for (const auto& board : boards_) board->say_again(now);
}

void Crowd::take_turns(Turns& turns, const std::function<void(Board&, Board::Time due)>& act) {
  if (turns.a_second <= 0) return;
  const auto step = std::chrono::duration_cast<Board::Time::duration>(std::chrono::duration<double>(1 / turns.a_second));
  for (const auto now = std::chrono::steady_clock::now(); turns.next <= now; turns.next += step) {
    latest_ = std::max(latest_, std::chrono::duration<double>(now - turns.next));
    act(*boards_[turns.board], turns.next);
    turns.board = (turns.board + 1) % boards_.size();
  }
}

void Crowd::say_at(const Rates& rates) {
  const auto now = std::chrono::steady_clock::now();
  telemetry_.a_second = rates.telemetry;
  reports_.a_second = rates.reports;
  heartbeats_.a_second = rates.heartbeats;
  for (Turns* turns : {&telemetry_, &reports_, &heartbeats_}) turns->next = now;
}

bool Crowd::run_until(const std::function<bool()>& so, std::chrono::milliseconds longest) {
  const auto end = std::chrono::steady_clock::now() + longest;
  for (auto now = std::chrono::steady_clock::now(); now < end; now = std::chrono::steady_clock::now()) {
    if (so()) return true;
    loop_->run_until(std::min(end, now + std::chrono::milliseconds(50)));
  }
  return so();
}

void Crowd::run_for(std::chrono::milliseconds time) {
  (void)run_until([] { return false; }, time);
}

std::size_t Crowd::connected() const {
  return static_cast<std::size_t>(
      std::count_if(boards_.begin(), boards_.end(), [](const auto& board) { return board->connected(); }));
}

std::size_t Crowd::waiting() const {
  std::size_t count = 0;
  for (const auto& board : boards_) count += board->waiting();
  return count;
}

}  // namespace outcrop::bench
