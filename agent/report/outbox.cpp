#include "agent/report/outbox.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <spdlog/spdlog.h>

#include "agent/state/kept_twice.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using messages::MessageId;

constexpr std::uint64_t outbox_format = 1;
constexpr std::size_t most_pending = 256;
constexpr ByteCount longest_envelope = ByteCount::mib(1);
constexpr const char* session_file = "session.json";
// Higher ones are damage or malice: JSON's integers end at twice this, and there must be a next.
constexpr std::uint64_t highest_session = std::uint64_t{1} << 52;

std::string file_name(const MessageId& id) {
  return std::to_string(id.session) + "-" + std::to_string(id.sequence) + ".json";
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

// Nothing for a file that is no report.
std::optional<MessageId> message_id(const fs::path& file) {
  const std::string stem = file.stem().string();
  const auto dash = stem.find('-');
  if (file.extension() != ".json" || dash == std::string::npos) return std::nullopt;
  const auto session = number(std::string_view(stem).substr(0, dash));
  const auto sequence = number(std::string_view(stem).substr(dash + 1));
  if (!session || !sequence) return std::nullopt;
  return MessageId{*session, *sequence};
}

Result<std::vector<MessageId>> list(const fs::path& folder) {
  std::vector<MessageId> ids;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto id = message_id(entry->path())) ids.push_back(*id);
  }
  if (error) return fail(ErrorCode::io, "reading " + folder.string() + ": " + error.message());
  std::sort(ids.begin(), ids.end());
  return ids;
}

Status remove_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (error) return fail(ErrorCode::io, "removing " + file.string() + ": " + error.message());
  return {};
}

Result<std::uint64_t> read_session(const fs::path& file) {
  OUTCROP_TRY(text, read_text_file(file, ByteCount::kib(4)));
  OUTCROP_TRY(json, messages::parse_object(text, ByteCount::kib(4), file.string()));
  messages::ObjectReader reader(json, file.string());
  if (reader.integer("format", 1) > outbox_format) {
    return fail(ErrorCode::invalid_data, file.string() + " was written by a newer agent");
  }
  const std::uint64_t session = reader.integer("session", 1);
  reader.done();
  OUTCROP_CHECK(reader.status());
  if (session > highest_session) {
    return fail(ErrorCode::invalid_data, file.string() + ".session: is too high to be one");
  }
  return session;
}

}  // namespace

Outbox Outbox::open(const fs::path& folder, Timestamp now, std::optional<Pending> held) {
  std::error_code ignored;
  fs::create_directories(folder, ignored);  // whatever is written there says that it is missing
  Outbox outbox(folder, std::move(held));
  std::uint64_t last = outbox.held_ ? outbox.held_->id.session : 0;
  const KeptTwice document(folder / session_file);
  auto reading = document.read([&](const fs::path& copy) -> Status {
    OUTCROP_TRY(session, read_session(copy));
    last = std::max(last, session);
    return {};
  });
  if (!reading) {
    outbox.trouble_ = reading.error().message();
  } else {
    document.heal(*reading);
    if (reading->trouble) outbox.trouble_ = reading->trouble->message();
  }
  // Even where its file was lost.
  if (const auto waiting = list(folder); waiting && !waiting->empty()) {
    last = std::max(last, waiting->back().session);
  }
  outbox.begin_session(last, now);
  return outbox;
}

void Outbox::begin_session(std::uint64_t used, Timestamp now) {
  const auto seconds = std::max<std::int64_t>(0, now.time_since_epoch().count());
  if (used > highest_session) used = 0;
  session_ = std::max({session_, used, static_cast<std::uint64_t>(seconds)}) + 1;
  sequence_ = 0;
  const messages::Json json{{"format", outbox_format}, {"session", session_}};
  const Status written = KeptTwice(folder_ / session_file).write(json_text(json) + "\n");
  if (!written) {
    spdlog::warn("{}", written.error().message());
    trouble_ = written.error().message();
  }
}

Status Outbox::write(const Pending& report) const {
  OUTCROP_CHECK(write_file_durably(folder_ / file_name(report.id), report.envelope));
  OUTCROP_TRY(waiting, list(folder_));
  for (std::size_t i = 0; i + most_pending < waiting.size(); ++i) {
    spdlog::warn("report {} of session {} was never acknowledged and makes room for newer ones",
                 waiting[i].sequence, waiting[i].session);
    OUTCROP_CHECK(remove_file(folder_ / file_name(waiting[i])));
  }
  return {};
}

void Outbox::add(Pending report) {
  const Status written = write(report);
  if (written) return;
  spdlog::error("keeping a report, which waits in memory now: {}", written.error().message());
  unwritten_.push_back(std::move(report));
  if (unwritten_.size() > most_pending) unwritten_.erase(unwritten_.begin());
}

void Outbox::hold(Pending report) {
  if (held_) add(std::move(*held_));
  held_ = std::move(report);
}

Status Outbox::acknowledge(const std::vector<MessageId>& ids) {
  for (const MessageId& id : ids) {
    if (held_ && held_->id == id) held_.reset();
    std::erase_if(unwritten_, [&](const Pending& report) { return report.id == id; });
    OUTCROP_CHECK(remove_file(folder_ / file_name(id)));
  }
  return {};
}

std::vector<Outbox::Pending> Outbox::pending() const {
  std::vector<Pending> reports = unwritten_;
  if (held_) reports.push_back(*held_);
  const auto waiting = list(folder_);
  if (!waiting) {
    spdlog::error("reading the outbox: {}", waiting.error().message());
    return reports;
  }
  for (const MessageId& id : *waiting) {
    auto envelope = read_text_file(folder_ / file_name(id), longest_envelope);
    if (!envelope) {
      // One that cannot be read must not keep the others back.
      spdlog::warn("a waiting report is left out: {}", envelope.error().message());
      continue;
    }
    reports.push_back({id, std::move(*envelope)});
  }
  // A kill may have left one in two places.
  std::sort(reports.begin(), reports.end(),
            [](const Pending& a, const Pending& b) { return a.id < b.id; });
  reports.erase(std::unique(reports.begin(), reports.end()), reports.end());
  return reports;
}

}  // namespace outcrop::agent
