#include "agent/wait/worker.hpp"

#include <boost/asio/post.hpp>

#include "agent/wait/signal.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;

Worker::Worker(asio::any_io_executor executor)
    : executor_(std::move(executor)), thread_([this] { loop(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    jobs_.clear();
  }
  wake_.notify_one();
  thread_.join();
}

void Worker::post(std::function<void()> job, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(job), std::move(done)});
  }
  wake_.notify_one();
}

bool Worker::busy() const {
  const std::lock_guard lock(mutex_);
  return working_ || !jobs_.empty();
}

asio::awaitable<void> Worker::run(std::function<void()> job, std::stop_token stop) {
  throw_if_cancelled(stop);
  struct Done {
    explicit Done(asio::any_io_executor executor) : signal(std::move(executor)) {}
    Signal signal;
    bool finished = false;
  };
  auto done = std::make_shared<Done>(executor_);
  post(std::move(job), [done, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    done->finished = true;
    done->signal.notify();
  });
  while (!done->finished) co_await done->signal.wait();
  throw_if_cancelled(stop);
}

void Worker::loop() {
  for (;;) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      working_ = false;
      wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      working_ = true;
    }
    job.work();
    job.work = nullptr;  // what it holds is freed here, not on the executor's thread
    if (job.done) asio::post(executor_, std::move(job.done));
  }
}

}  // namespace outcrop::agent
