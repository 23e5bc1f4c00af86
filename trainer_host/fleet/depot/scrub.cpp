#include "trainer_host/fleet/depot/scrub.hpp"

#include <utility>  // before Asio

#include <algorithm>
#include <optional>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace outcrop::fleet {
namespace asio = boost::asio;

class Scrub::Impl : public std::enable_shared_from_this<Scrub::Impl> {
 public:
  Impl(const asio::any_io_executor& executor, asio::thread_pool& worker, BlobStore store,
       std::chrono::milliseconds pause)
      : timer_(executor), worker_(worker), store_(std::move(store)), pause_(pause) {}

  void wait() {
    timer_.expires_after(pause_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
      const auto self = weak.lock();
      if (!stopped && self) self->read_next();
    });
  }

  void stop() {
    stopped_ = true;
    timer_.cancel();
  }

 private:
  void read_next() {
    asio::post(worker_, [weak = weak_from_this(), store = store_, last = last_,
                         back = timer_.get_executor()] {
      const auto next = read_one_after(store, last);
      asio::post(back, [weak, next] {
        const auto self = weak.lock();
        if (!self || self->stopped_) return;
        self->last_ = next;
        self->wait();
      });
    });
  }

  // Which one it was; none at the end of a round.
  static std::optional<trust::Sha256Digest> read_one_after(
      const BlobStore& store, const std::optional<trust::Sha256Digest>& last) {
    const auto all = store.list();
    if (!all) {
      spdlog::warn("looking for damaged blobs: {}", all.error().message());
      return std::nullopt;
    }
    const auto next = last ? std::upper_bound(all->begin(), all->end(), *last) : all->begin();
    if (next == all->end()) return std::nullopt;
    if (const auto checked = store.check(*next); !checked) {
      spdlog::warn("looking for damaged blobs: {}", checked.error().message());
    }
    return *next;
  }

  asio::steady_timer timer_;
  asio::thread_pool& worker_;
  BlobStore store_;
  std::chrono::milliseconds pause_;
  std::optional<trust::Sha256Digest> last_;
  bool stopped_ = false;
};

Scrub::Scrub(asio::any_io_executor executor, asio::thread_pool& worker, BlobStore store,
             std::chrono::milliseconds pause)
    : impl_(std::make_shared<Impl>(executor, worker, std::move(store), pause)) {
  impl_->wait();
}

Scrub::~Scrub() {
  impl_->stop();
}

}  // namespace outcrop::fleet
