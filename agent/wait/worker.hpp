#pragma once

#include <utility>  // before Asio

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace outcrop::agent {

// A thread for work that blocks: runners, and hashing of large files. It lives as long as the
// worker, since the kernel ends a runner together with the thread that started it. Jobs run one
// after the other in the order in which they were given.
class Worker {
 public:
  explicit Worker(boost::asio::any_io_executor executor);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // waits for the job at work, drops those that wait

  // `job` runs on the thread, then `done` on the executor. Neither may throw.
  void post(std::function<void()> job, std::function<void()> done);

  // The same for a coroutine on the executor. What `job` refers to must live until it is done. Where the worker is gone by then nobody
  // goes on: the coroutine, whose owner is gone with it, ends with its executor. A job is not cut off: where it was asked to stop,
  // this throws Cancelled once the job is done.
  [[nodiscard]] boost::asio::awaitable<void> run(std::function<void()> job, std::stop_token stop = {});

  // Whether a job is at work or waits.
  [[nodiscard]] bool busy() const;

 private:
  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  void loop();

  boost::asio::any_io_executor executor_;
  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool working_ = false;
  bool stop_ = false;

  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::thread thread_;
};

}  // namespace outcrop::agent
