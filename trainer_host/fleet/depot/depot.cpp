#include "trainer_host/fleet/depot/depot.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <optional>

#include <spdlog/spdlog.h>

#include "protocol/blob/chunk_frame.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/transport/topics.hpp"
#include "trainer_host/fleet/depot/open_blobs.hpp"
#include "trainer_host/fleet/depot/waiting_boards.hpp"
#include "trainer_host/fleet/ingest/allowance.hpp"
#include "trainer_host/fleet/log/news.hpp"

namespace outcrop::fleet {
namespace {

namespace topics = transport::topics;
using blob::ChunkAnswer;
using transport::Delivery;

constexpr std::size_t most_unfinished = 16;
constexpr std::chrono::seconds counted_for{30};
constexpr std::chrono::seconds flood_pause{2};

struct RequestTopic {
  std::string device;
  std::string depot;  // empty: whoever has the blob
};

std::optional<RequestTopic> parse_topic(std::string_view topic) {
  const std::string prefix = topics::request("");
  if (!topic.starts_with(prefix)) return std::nullopt;
  topic.remove_prefix(prefix.size());
  const std::size_t slash = topic.find('/');
  if (slash == std::string_view::npos) return RequestTopic{std::string(topic), {}};
  return RequestTopic{std::string(topic.substr(0, slash)), std::string(topic.substr(slash + 1))};
}

// Appends `size` bytes of the file at `offset`.
Status append_from(const OpenBlob& blob, std::uint64_t offset, std::size_t size,
                   std::string& frame) {
  std::size_t filled = frame.size();
  frame.resize(filled + size);
  while (size > 0) {
    const ssize_t got =
        ::pread(blob.fd.get(), frame.data() + filled, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Error::from_errno("reading blob " + blob.digest.hex()));
    if (got == 0) return fail(ErrorCode::io, "blob " + blob.digest.hex() + " shrank on the disk");
    filled += static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace

class Depot::Impl : public std::enable_shared_from_this<Depot::Impl> {
 public:
  Impl(transport::Session& session, BlobStore store, std::string name)
      : session_(session), blobs_(std::move(store)), name_(std::move(name)) {}

  void close() { open_ = false; }

  void on_connected() {
    subscribe(topics::request("+"));
    subscribe(topics::request("+", name_));
  }

  void on_lost() { waiting_.clear(); }

  bool on_message(const transport::Message& message) {
    const auto topic = parse_topic(message.topic);
    if (!topic) return false;
    if (!topic->depot.empty() && topic->depot != name_) return true;
    if (floods(topic->device)) return true;
    const auto request = blob::decode_chunk_request(message.payload);
    if (!request || !messages::is_name(topic->device)) {
      ++statistics_.refused;
      spdlog::debug("chunk request on {} refused: {}", message.topic,
                    request ? "no device has that name" : request.error().message());
      return true;
    }
    waiting_.add(topic->device, *request);
    serve();
    return true;
  }

  std::map<std::string, std::uint64_t> sent_of_late() const {
    auto sent = sent_;
    for (const auto& [device, bytes] : sent_before_) sent[device] += bytes;
    return sent;
  }
  void forget_sent(const std::string& device) {
    sent_.erase(device);
    sent_before_.erase(device);
  }

  DepotStatistics statistics_;
  std::function<void(const std::string&)> told_of_flood_;

 private:
  // A board asks eight times a window; the fastest network takes some thousand chunks a second.
  bool floods(const std::string& device) {
    if (!messages::is_name(device)) return false;  // refused below
    const auto now = std::chrono::steady_clock::now();
    Asker& asker = askers_.try_emplace(device).first->second;
    if (asker.requests.take(now)) return false;
    ++statistics_.refused;
    if (now - asker.told < flood_pause) return true;
    asker.told = now;
    waiting_.forget(device);
    if (told_of_flood_) told_of_flood_(device);
    return true;
  }

  void subscribe(std::string filter) {
    session_.subscribe(filter, Delivery::at_least_once, [filter](Status status) {
      if (!status) spdlog::warn("subscribing to {}: {}", filter, status.error().message());
    });
  }

  void serve() {
    while (open_ && unfinished_ < most_unfinished && session_.connected()) {
      const auto asked = waiting_.next();
      if (!asked) return;
      publish(*asked, answer(*asked));
    }
  }

  std::string answer(const AskedChunk& asked) {
    const auto blob = blobs_.open(asked.blob);
    if (!blob) {
      // One such answer says it all.
      waiting_.forget(asked.device);
      ++statistics_.refused;
      const bool absent = blob.error().code() == ErrorCode::not_found;
      if (!absent) news_.report("blob " + asked.blob.hex(), fail(blob.error()));
      return header(asked, absent ? ChunkAnswer::no_such_blob : ChunkAnswer::later, 0);
    }
    const std::uint64_t offset = asked.index * blob::chunk_size.value();
    if (offset >= (*blob)->size.value()) {
      ++statistics_.refused;
      return header(asked, ChunkAnswer::no_such_chunk, 0);
    }
    const std::uint64_t size = std::min(blob::chunk_size.value(), (*blob)->size.value() - offset);
    std::string frame = header(asked, ChunkAnswer::data, size);
    if (const Status read = append_from(**blob, offset, size, frame); !read) {
      news_.report("blob " + asked.blob.hex(), read);
      waiting_.forget(asked.device);
      return header(asked, ChunkAnswer::later, 0);
    }
    ++statistics_.chunks;
    statistics_.bytes += size;
    count(asked.device, size);
    return frame;
  }

  // Of the last minute at most: what was pulled long ago says nothing about who reads now.
  void count(const std::string& device, std::uint64_t bytes) {
    const auto now = std::chrono::steady_clock::now();
    if (now - window_ > counted_for) {
      sent_before_ = now - window_ > 2 * counted_for ? decltype(sent_)() : std::move(sent_);
      sent_.clear();
      window_ = now;
    }
    sent_[device] += bytes;
  }

  [[nodiscard]] std::string header(const AskedChunk& asked, ChunkAnswer answer,
                                   std::size_t room) const {
    std::string text = blob::frame_header({asked.transfer, asked.index, answer, name_, {}});
    text.reserve(text.size() + room);
    return text;
  }

  // At most once: the board counts chunks, not acknowledgements, and asks again for what does not
  // come. Such a publish completes when all of it is in the socket, which is what the limit is for.
  void publish(const AskedChunk& asked, std::string frame) {
    ++unfinished_;
    session_.publish({topics::receive(asked.device), std::move(frame)}, Delivery::at_most_once,
                     [self = shared_from_this()](const Status&) {
                       // Lost with the connection or refused: the board asks again.
                       --self->unfinished_;
                       self->serve();
                     });
  }

  transport::Session& session_;
  OpenBlobs blobs_;
  std::string name_;
  WaitingBoards waiting_;
  struct Asker {
    Allowance requests{20'000, 4'000};
    std::chrono::steady_clock::time_point told;
  };
  std::map<std::string, Asker> askers_;
  std::map<std::string, std::uint64_t> sent_, sent_before_;  // bytes by board, in this window and the one before
  std::chrono::steady_clock::time_point window_;
  News news_;
  std::size_t unfinished_ = 0;
  bool open_ = true;  // false once the depot is gone, and perhaps the session with it
};

Depot::Depot(transport::Session& session, BlobStore store, std::string name)
    : impl_(std::make_shared<Impl>(session, std::move(store), std::move(name))) {}

Depot::~Depot() {
  impl_->close();
}

void Depot::on_connected() {
  impl_->on_connected();
}
void Depot::on_lost() {
  impl_->on_lost();
}
bool Depot::on_message(const transport::Message& message) {
  return impl_->on_message(message);
}
void Depot::on_flood(std::function<void(const std::string&)> told) {
  impl_->told_of_flood_ = std::move(told);
}
std::map<std::string, std::uint64_t> Depot::sent_of_late() const {
  return impl_->sent_of_late();
}
void Depot::forget_sent(const std::string& device) {
  impl_->forget_sent(device);
}
const DepotStatistics& Depot::statistics() const {
  return impl_->statistics_;
}

}  // namespace outcrop::fleet
