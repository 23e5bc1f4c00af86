#include "tests/support/transfer_roles.hpp"

#include <utility>  // before Asio

#include <memory>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "agent/pull/puller.hpp"
#include "protocol/transport/paho/paho_session.hpp"
#include "protocol/transport/topics.hpp"
#include "trainer_host/fleet/depot/depot.hpp"

namespace outcrop {
namespace {

namespace asio = boost::asio;
namespace topics = transport::topics;
using Clock = std::chrono::steady_clock;

// A board that pulls one blob as soon as it is connected.
class Board {
 public:
  explicit Board(const PullTask& task)
      : task_(task),
        session_(transport::make_paho_session(io_.get_executor(), task.session)),
        puller_(io_.get_executor(), *session_, task.device) {}

  PullFigures run() {
    session_->start({.connected = [this] { subscribe(); },
                     .lost = [this](const Error&) { puller_.on_lost(); },
                     .message = [this](const transport::Message& message) { receive(message); }});
    io_.run();
    return figures_;
  }

 private:
  void subscribe() {
    session_->subscribe(topics::receive(task_.device), transport::Delivery::at_least_once,
                        [this](const Status& status) {
                          if (!status) return;
                          puller_.on_connected();
                          if (!std::exchange(started_, true)) start();
                        });
  }
  void receive(const transport::Message& message) {
    ++figures_.frames;
    figures_.bytes += message.payload.size();
    puller_.on_frame(message.payload);
  }
  void start() {
    start_ = Clock::now();
    asio::co_spawn(io_, pull(), asio::detached);
  }
  asio::awaitable<void> pull() {
    agent::Puller::Budget budget{task_.budget};
    agent::Puller::Progress follow = [this](ByteCount, ByteCount) {
      progress();
      return Status();
    };
    const Result<agent::StagedBlob> staged =
        co_await puller_.pull(task_.table, task_.partial, budget, std::move(follow));
    figures_.staged = Clock::now() - start_;
    if (!staged) figures_.error = staged.error().message();
    session_->stop([this] { io_.stop(); });
  }
  void progress() {
    figures_.received = Clock::now() - start_;
    ++chunks_;
    if (task_.progress) task_.progress(chunks_);
  }

  const PullTask& task_;
  asio::io_context io_;
  std::unique_ptr<transport::Session> session_;
  agent::Puller puller_;
  bool started_ = false;
  Clock::time_point start_;
  std::uint64_t chunks_ = 0;
  PullFigures figures_;
};

}  // namespace

void serve_blobs(const transport::SessionOptions& options, const std::filesystem::path& store,
                 const std::function<void()>& ready) {
  auto blobs = fleet::BlobStore::open(store);
  if (!blobs) throw std::runtime_error(blobs.error().message());
  asio::io_context io;
  const auto session = transport::make_paho_session(io.get_executor(), options);
  fleet::Depot depot(*session, *blobs, "depot-1");
  session->start(
      {.connected =
           [&] {
             depot.on_connected();
             // Answered after the depot's own: the broker keeps the order.
             session->subscribe("outcrop/v1/d/none/status", transport::Delivery::at_least_once,
                                [&](const Status& status) {
                                  if (status) ready();
                                });
           },
       .lost = [&](const Error&) { depot.on_lost(); },
       .message = [&](const transport::Message& message) { depot.on_message(message); }});
  io.run();
  throw std::runtime_error("the depot's loop ended");
}

PullFigures pull_blob(const PullTask& task) {
  return Board(task).run();
}

}  // namespace outcrop
