#include "agent/deploy/ledger.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "agent/deploy/earlier_state.hpp"
#include "agent/slots/installed_json.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using messages::Json;
using messages::ObjectReader;

constexpr std::uint64_t ledger_format = 1;
constexpr const char* document = "board.json";
constexpr ByteCount ledger_limit = ByteCount::mib(4);
constexpr ByteCount longest_envelope = ByteCount::mib(1);
constexpr ByteCount committed_limit = ByteCount::kib(4);
// For both copies of a long report, beside the files that they replace.
constexpr off_t space_set_aside = 512 * 1024;

Json report_to_json(const std::optional<Outbox::Pending>& report) {
  if (!report) return nullptr;
  return {{"session", report->id.session},
          {"sequence", report->id.sequence},
          {"envelope", report->envelope}};
}

std::optional<Outbox::Pending> read_report(ObjectReader& reader) {
  if (reader.null("report")) return std::nullopt;
  ObjectReader object = reader.object("report");
  Outbox::Pending report;
  report.id.session = object.integer("session", 1);
  report.id.sequence = object.integer("sequence", 1);
  report.envelope = object.lines("envelope", longest_envelope.value());
  object.done();
  return report;
}

// The text behind its checksum.
Result<std::string_view> checked(std::string_view text) {
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) return fail(ErrorCode::invalid_data, "it has no checksum");
  const std::string_view rest = text.substr(line + 1);
  if (trust::sha256(rest).hex() != text.substr(0, line)) {
    return fail(ErrorCode::invalid_data, "its checksum is another's");
  }
  return rest;
}

// What every version says: enough to serve what was committed, and to take no old offer for new.
Decided essentials(const Json& json) {
  Decided decided;
  decided.record.generation = generation_in(json);
  ObjectReader reader(json, document);
  decided.slots.active = read_installed(reader, "committed");
  if (!reader.ok()) decided.slots.active.reset();
  decided.slots.forgotten = !decided.slots.active.has_value();
  return decided;
}

}  // namespace

std::optional<Installed> committed(const Decided& decided) {
  const auto& deployment = decided.record.deployment;
  const bool on_trial = deployment && decided.slots.active == deployment->target() &&
                        (deployment->state == messages::DeploymentState::updating ||
                         deployment->state == messages::DeploymentState::soaking);
  return on_trial ? deployment->before : decided.slots.active;
}

std::string to_text(const Decided& decided) {
  const Json json{{"format", ledger_format},
                  {"generation", decided.record.generation},
                  {"committed", to_json(committed(decided))},
                  {"record", to_json(decided.record)},
                  {"slots", to_json(decided.slots)},
                  {"report", report_to_json(decided.report)}};
  const std::string text = json_text(json, 1) + "\n";
  return trust::sha256(text).hex() + "\n" + text;
}

Result<Decided> parse_decided(std::string_view text) {
  OUTCROP_TRY(rest, checked(text));
  OUTCROP_TRY(json, messages::parse_object(rest, ledger_limit, document));
  ObjectReader reader(json, document);
  if (const auto format = reader.integer("format", 1); format > ledger_format) {
    return fail(ErrorCode::unsupported, std::string(document) + " was written by a newer agent");
  }
  Decided decided;
  (void)reader.integer("generation", 0);
  (void)read_installed(reader, "committed");
  ObjectReader record = reader.object("record");
  OUTCROP_TRY(read, read_record(record));
  record.done();
  decided.record = std::move(read);
  decided.slots = read_slot_table(reader.object("slots"));
  decided.report = read_report(reader);
  reader.done();
  OUTCROP_CHECK(reader.status());
  return decided;
}

Ledger::Ledger(const fs::path& state) : state_(state), board_(state / document) {}

Ledger Ledger::open(const fs::path& state) {
  Ledger ledger(state);
  const bool known = ledger.read_board();
  ledger.take_over_earlier(known);
  ledger.look_at_committed(known || ledger.of_earlier_);
  return ledger;
}

// Whether what was decided is known by it, be it nothing.
bool Ledger::read_board() {
  auto reading = board_.read([this](const fs::path& copy) -> Status {
    OUTCROP_TRY(text, read_text_file(copy, ledger_limit));
    auto decided = parse_decided(text);
    if (decided) {
      found_ = std::move(*decided);
      return {};
    }
    if (decided.error().code() == ErrorCode::unsupported) {
      const auto json = messages::parse_object(*checked(text), ledger_limit, document);
      found_ = essentials(*json);
    }
    return fail(decided.error().context(copy.string()));
  });
  if (!reading) {
    trouble_ = reading.error().message();
    of_newer_ = reading.error().code() == ErrorCode::unsupported;
    if (of_newer_) *trouble_ += "; what it committed serves, and what was under way is not known";
    return of_newer_;
  }
  reading_ = std::move(*reading);
  if (reading_.trouble) trouble_ = reading_.trouble->message();
  return reading_.copy.has_value();
}

// Where an earlier agent was installed once more, and worked, its files are the newer ones.
void Ledger::take_over_earlier(bool known) {
  auto earlier = read_earlier_state(state_);
  if (!earlier) return;
  if (known && earlier->decided.record.generation <= found_.record.generation) return;
  found_ = std::move(earlier->decided);
  if (earlier->trouble) trouble_ = earlier->trouble;
  of_earlier_ = true;
}

// Serves where both copies of the board's document are lost, or cannot be read.
void Ledger::look_at_committed(bool known) {
  Decided last;
  last.slots.forgotten = true;
  const auto text = read_text_file(state_ / "committed.json", committed_limit);
  if (text) {
    if (const auto json = messages::parse_object(*text, committed_limit, "committed.json")) {
      last = essentials(*json);
    }
  }
  committed_ = last.slots.active;
  const bool is_new_board = !text && !trouble_;
  if (known || is_new_board) return;
  trouble_ = trouble_.value_or(std::string(document) + " is missing, and so is its spare");
  if (committed_) *trouble_ += "; the release that was committed last serves";
  found_ = std::move(last);
}

void Ledger::settle() {
  const bool lost = trouble_ && !reading_.copy;
  if (lost) {
    // Also what is of a newer agent, or could not be read: for whoever wants to look at it.
    for (const fs::path& copy : {board_.file(), board_.spare()}) {
      fs::path aside = copy;
      aside += of_newer_ ? ".newer" : ".damaged";
      std::error_code ignored;
      fs::rename(copy, aside, ignored);
    }
  } else {
    board_.heal(reading_);
  }
  if ((lost || of_earlier_) && !commit(found_)) return;
  remove_earlier_state(state_);
  of_earlier_ = false;
}

Status Ledger::commit(const Decided& decided, Space space) {
  const std::string text = to_text(decided);
  Status written = board_.write(text);
  if (!written && written.error().code() == ErrorCode::no_space && space == Space::set_aside) {
    std::error_code ignored;
    fs::remove(state_ / "set-aside", ignored);
    written = board_.write(text);
  }
  if (!written) return written;
  keep_committed(decided);
  set_space_aside();
  return {};
}

void Ledger::keep_committed(const Decided& decided) {
  const auto now = committed(decided);
  if (now == committed_) return;
  if (!now) {
    std::error_code ignored;
    fs::remove(state_ / "committed.json", ignored);
    committed_.reset();
    return;
  }
  const Json json{{"generation", decided.record.generation}, {"committed", to_json(now)}};
  const Status written = write_file_durably(state_ / "committed.json", json_text(json, 1) + "\n");
  if (written) {
    committed_ = now;
  } else {
    spdlog::warn("{}", written.error().message());
  }
}

// What cannot be set aside now is set aside after a later commit.
void Ledger::set_space_aside() const {
  const fs::path file = state_ / "set-aside";
  std::error_code error;
  if (fs::exists(file, error)) return;
  const UniqueFd made(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (made && ::posix_fallocate(made.get(), 0, space_set_aside) != 0) ::unlink(file.c_str());
}

}  // namespace outcrop::agent
