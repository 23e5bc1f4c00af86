#include "agent/pull/puller.hpp"

#include <utility>  // before Asio

#include <random>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <spdlog/spdlog.h>

#include "agent/wait/signal.hpp"
#include "agent/pull/transfer.hpp"
#include "protocol/transport/topics.hpp"

namespace outcrop::agent {
namespace {

namespace asio = boost::asio;
namespace topics = transport::topics;
using asio::awaitable;
using Clock = std::chrono::steady_clock;

// Hashed between two turns of the loop: some milliseconds on a Pi 4, which has no instructions for
// SHA-256.
constexpr std::size_t chunks_in_a_row = 4;
constexpr int most_wrong_wholes = 3;

awaitable<Status> sync_here(const PartialFile& file) {
  co_return file.sync();
}

// Seconds on an SD card: in a thread of its own. Who asked to stop meanwhile does not hear how it ended.
awaitable<Status> sync_in_thread(const PartialFile& file, std::stop_token stop) {
  asio::thread_pool thread(1);
  Status status = co_await asio::co_spawn(thread, sync_here(file), asio::use_awaitable);
  throw_if_cancelled(stop);
  co_return status;
}

}  // namespace

class Puller::Impl {
 public:
  Impl(asio::any_io_executor executor, transport::Session& session, std::string device,
       PullOptions options)
      : executor_(executor),
        session_(session),
        device_(std::move(device)),
        options_(options),
        wake_(executor),
        next_id_(std::random_device{}()) {}

  using Staged = awaitable<Result<StagedBlob>>;
  static Staged pull(std::shared_ptr<Impl> self, const blob::ChunkTable& table,
                     std::filesystem::path partial, Budget& budget, Progress progress,
                     std::stop_token stop);
  static Staged pull_small(std::shared_ptr<Impl> self, trust::Sha256Digest digest, ByteCount size,
                           std::filesystem::path partial, Budget& budget, std::stop_token stop);

  void on_connected() {
    connected_ = true;
    if (transfer_ != nullptr) begin();
    wake_.notify();
  }

  void on_lost() {
    connected_ = false;
    if (transfer_ != nullptr) transfer_->start_over();
    wake_.notify();
  }

  void on_frame(std::string_view payload) {
    if (transfer_ == nullptr) return;
    count(payload.size());
    const auto heard = transfer_->hear(payload);
    if (transfer_ == nullptr) return;  // whoever was told of progress has had it stopped
    if (transfer_->ended()) wake_.notify();
    if (heard == Transfer::Heard::nothing) return;
    const auto now = Clock::now();
    if (heard == Transfer::Heard::wait) {
      transfer_->start_over();
      resting_ = true;
      held_ = false;
      deadline_ = now + patience_.wait();
      return;
    }
    if (!resting_) patience_.heard(now - quiet_since_);
    resting_ = false;
    quiet_since_ = now;
    deadline_ = now + patience_.wait();
    ask();
  }

  [[nodiscard]] bool connected() const { return connected_; }

  void close() {
    connected_ = false;  // and so the session, which may be gone, is not asked for anything
    closed_ = true;
    if (transfer_ != nullptr) transfer_->end(ended_with_agent());
    wake_.notify();
  }

 private:
  // One pull at a time; whatever ends it, this forgets it.
  class Work {
   public:
    explicit Work(std::shared_ptr<Impl> of) : of_(std::move(of)) {
      of_->busy_ = true;
      of_->patience_ = Patience(of_->options_.silence, of_->options_.longest_silence);
    }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    ~Work() {
      of_->busy_ = false;
      of_->transfer_ = nullptr;
    }

   private:
    std::shared_ptr<Impl> of_;
  };

  static Status ended_with_agent() { return fail(ErrorCode::interrupted, "the transfer ended with the agent"); }
  static tl::unexpected<Error> at_work() {
    return fail(ErrorCode::already_exists, "another blob is on its way already");
  }

  // From now on chunks are expected.
  void begin() {
    resting_ = false;
    quiet_since_ = Clock::now();
    deadline_ = quiet_since_ + patience_.wait();
    ask();
  }

  void count(std::size_t bytes) {
    if (options_.received) options_.received(ByteCount(bytes));
    const std::uint64_t rate = options_.most_a_second.value();
    if (rate == 0) return;
    const std::chrono::duration<double> worth(static_cast<double>(bytes) / static_cast<double>(rate));
    paid_until_ = std::max(paid_until_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(worth);
  }

  void ask() {
    if (!connected_ || transfer_->ended()) return;
    if (Clock::now() < paid_until_) {
      if (!std::exchange(held_, true)) wake_.notify();
      return;
    }
    held_ = false;
    const auto request = transfer_->request();
    if (!request) return;
    const std::string& depot = transfer_->depot();
    // At most once: a request that got lost is made again after a silence, acknowledged or not, and
    // without acknowledgements a transfer takes a third less time (bench/transfer.cpp).
    session_.publish({depot.empty() ? topics::request(device_) : topics::request(device_, depot),
                      blob::encode(*request)},
                     transport::Delivery::at_most_once, [](const Status& status) {
                       if (!status) spdlog::debug("chunk request: {}", status.error().message());
                     });
  }

  void on_silence() {
    patience_.was_silent();
    transfer_->start_over();
    transfer_->forget_depot();
    const auto waited_from = quiet_since_;
    const bool rested = resting_;
    begin();
    if (!rested) quiet_since_ = waited_from;
  }

  awaitable<Status> receive(Transfer& transfer, std::stop_token stop);
  awaitable<Status> hash_present(const PartialFile& file, const blob::ChunkTable& table, Transfer& transfer,
                                 std::stop_token stop);
  awaitable<Result<trust::Sha256Digest>> hash_whole(const PartialFile& file, std::stop_token stop);
  // Lets others take their turn.
  awaitable<void> yield(std::stop_token stop);

  asio::any_io_executor executor_;
  transport::Session& session_;
  std::string device_;
  PullOptions options_;
  Signal wake_;  // of receive()
  std::uint32_t next_id_;
  bool connected_ = false;
  bool closed_ = false;

  // Of the pull at work.
  bool busy_ = false;
  Transfer* transfer_ = nullptr;  // while it receives
  Patience patience_{options_.silence, options_.longest_silence};
  bool resting_ = false;           // the depot said "not now"
  Clock::time_point quiet_since_;  // the last frame, or the first request
  Clock::time_point deadline_;     // nothing until then is a silence
  bool held_ = false;              // nothing is asked for before paid_until_
  Clock::time_point paid_until_;   // what came is as much as may come until then
};

awaitable<void> Puller::Impl::yield(std::stop_token stop) {
  co_await asio::post(executor_, asio::use_awaitable);
  throw_if_cancelled(stop);
}

awaitable<Status> Puller::Impl::receive(Transfer& transfer, std::stop_token stop) {
  throw_if_cancelled(stop);
  const std::stop_callback deaf(stop, [this] { transfer_ = nullptr; });  // what comes before it is unwound
  if (closed_) transfer.end(ended_with_agent());
  if (!transfer.ended()) {
    if (Status status = transfer.affordable(); !status) transfer.end(std::move(status));
  }
  transfer_ = &transfer;
  if (connected_) begin();
  while (!transfer.ended()) {
    const auto next = held_ ? paid_until_ : deadline_;
    co_await wake_.wait_until(connected_ ? next : Clock::time_point::max(), stop);
    if (!connected_ || transfer.ended()) continue;
    if (held_ && Clock::now() >= paid_until_) {
      begin();
    } else if (!held_ && Clock::now() >= deadline_) {
      on_silence();
    }
  }
  transfer_ = nullptr;
  co_return *transfer.ended();
}

awaitable<Status> Puller::Impl::hash_present(const PartialFile& file, const blob::ChunkTable& table,
                                             Transfer& transfer, std::stop_token stop) {
  const Result<ByteCount> length = file.size();
  if (!length) co_return fail(length.error());
  Bytes buffer(blob::chunk_size.value());
  for (std::size_t i = 0; i < table.chunks.size(); ++i) {
    const ByteCount offset(i * blob::chunk_size.value());
    if (offset >= *length) break;
    if (i % chunks_in_a_row == 0) co_await yield(stop);
    const auto room = std::span(buffer).first(transfer.size_of(i).value());
    const Result<BytesView> chunk = file.read(offset, room);
    if (!chunk) co_return fail(chunk.error());
    if (table.matches(i, *chunk)) transfer.found(static_cast<std::uint32_t>(i));
  }
  co_return Status{};
}

awaitable<Result<trust::Sha256Digest>> Puller::Impl::hash_whole(const PartialFile& file, std::stop_token stop) {
  trust::Sha256Hasher hasher;
  Bytes buffer(chunks_in_a_row * blob::chunk_size.value());
  for (std::uint64_t offset = 0;; offset += buffer.size()) {
    co_await yield(stop);
    const Result<BytesView> piece = file.read(ByteCount(offset), buffer);
    if (!piece) co_return fail(piece.error());
    hasher.update(*piece);
    if (piece->size() < buffer.size()) co_return hasher.finish();
  }
}

Puller::Impl::Staged Puller::Impl::pull(std::shared_ptr<Impl> self, const blob::ChunkTable& table,
                                        std::filesystem::path partial, Budget& budget,
                                        Progress progress, std::stop_token stop) {
  if (self->busy_) co_return at_work();
  const Work work(self);
  Result<PartialFile> file = PartialFile::open(std::move(partial), table.size);
  if (!file) co_return fail(file.error());
  Transfer transfer(self->next_id_++, {table.blob, table.size, &table}, *file, budget,
                    self->options_, std::move(progress));
  Status status = co_await self->hash_present(*file, table, transfer, stop);
  if (status) status = co_await self->receive(transfer, stop);
  if (status) status = co_await sync_in_thread(*file, stop);
  if (!status) co_return fail(std::move(status).error());
  co_return StagedBlob(file->path(), table.blob, table.size);
}

Puller::Impl::Staged Puller::Impl::pull_small(std::shared_ptr<Impl> self,
                                              trust::Sha256Digest digest, ByteCount size,
                                              std::filesystem::path partial, Budget& budget,
                                              std::stop_token stop) {
  if (self->busy_) co_return at_work();
  const Work work(self);
  Result<PartialFile> file = PartialFile::open(std::move(partial), size);
  if (!file) co_return fail(file.error());
  const Result<ByteCount> there = file->size();
  if (!there) co_return fail(there.error());
  bool whole = *there == size;
  for (int wrong = 0; wrong < most_wrong_wholes;) {
    if (!whole) {
      Transfer transfer(self->next_id_++, {digest, size, nullptr}, *file, budget, self->options_,
                        {});
      Status status = co_await self->receive(transfer, stop);
      if (!status) co_return fail(std::move(status).error());
      ++wrong;
    }
    const Result<trust::Sha256Digest> found = co_await self->hash_whole(*file, stop);
    if (!found) co_return fail(found.error());
    if (*found == digest) {
      Status status = co_await sync_in_thread(*file, stop);
      if (!status) co_return fail(std::move(status).error());
      co_return StagedBlob(file->path(), digest, size);
    }
    whole = false;
  }
  co_return fail(ErrorCode::untrusted, "blob " + digest.hex() + " came wrong " +
                                           std::to_string(most_wrong_wholes) + " times");
}

Puller::Puller(asio::any_io_executor executor, transport::Session& session, std::string device,
               PullOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), session, std::move(device), options)) {}

Puller::~Puller() {
  impl_->close();
}

void Puller::on_connected() {
  impl_->on_connected();
}
void Puller::on_lost() {
  impl_->on_lost();
}
void Puller::on_frame(std::string_view payload) {
  impl_->on_frame(payload);
}
bool Puller::connected() const {
  return impl_->connected();
}

awaitable<Result<StagedBlob>> Puller::pull(const blob::ChunkTable& table,
                                           std::filesystem::path partial, Budget& budget,
                                           Progress progress, std::stop_token stop) {
  return Impl::pull(impl_, table, std::move(partial), budget, std::move(progress), std::move(stop));
}

awaitable<Result<StagedBlob>> Puller::pull_small(trust::Sha256Digest digest, ByteCount size,
                                                 std::filesystem::path partial, Budget& budget,
                                                 std::stop_token stop) {
  return Impl::pull_small(impl_, digest, size, std::move(partial), budget, std::move(stop));
}

}  // namespace outcrop::agent
