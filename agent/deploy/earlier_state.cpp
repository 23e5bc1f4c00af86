#include "agent/deploy/earlier_state.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include <spdlog/spdlog.h>

#include "agent/slots/installed_json.hpp"
#include "protocol/base/durable_file.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using messages::DeploymentState;
using messages::ObjectReader;

constexpr ByteCount document_limit = ByteCount::mib(1);

// One after the other, whatever becomes of it: the first ones are those that decide.
std::array<fs::path, 5> files_in(const fs::path& state) {
  return {state / "deployment.json", state / "deployment.json.spare",
          state / "releases/slots.json", state / "releases/slots.json.spare",
          state / "releases/kept.json"};
}

void say(std::optional<std::string>& trouble, const std::string& what) {
  trouble = trouble ? *trouble + "; " + what : what;
}

// Reads a document of which `read` makes something; false where neither copy could be used though
// there is one.
bool read_document(const fs::path& file, std::optional<std::string>& trouble,
                   const std::function<Status(const messages::Json&)>& read) {
  auto reading = KeptTwice(file).read([&](const fs::path& copy) -> Status {
    OUTCROP_TRY(text, read_text_file(copy, document_limit));
    OUTCROP_TRY(json, messages::parse_object(text, document_limit, file.filename().string()));
    return read(json);
  });
  if (!reading) {
    say(trouble, reading.error().message());
    return false;
  }
  if (reading->trouble) say(trouble, reading->trouble->message());
  return reading->copy || !reading->trouble;
}

}  // namespace

std::optional<EarlierState> read_earlier_state(const fs::path& state) {
  const auto files = files_in(state);
  std::error_code error;
  if (std::none_of(files.begin(), files.end(),
                   [&](const fs::path& file) { return fs::exists(file, error); })) {
    return std::nullopt;
  }
  EarlierState earlier;
  Record& record = earlier.decided.record;
  SlotTable& slots = earlier.decided.slots;
  std::uint64_t generation = 0;
  const bool recorded =
      read_document(files[0], earlier.trouble, [&](const messages::Json& json) -> Status {
        generation = std::max(generation, generation_in(json));
        ObjectReader reader(json, "record");
        if (reader.integer("version", 1) > 1) {
          return fail(ErrorCode::invalid_data, "record.version is none of an earlier agent");
        }
        OUTCROP_TRY(read, read_record(reader, WrittenBy::earlier_agent));
        reader.done();
        OUTCROP_CHECK(reader.status());
        record = std::move(read);
        return {};
      });
  record.generation = std::max(record.generation, generation);
  slots.forgotten =
      !read_document(files[2], earlier.trouble, [&](const messages::Json& json) -> Status {
        ObjectReader reader(json, "slots.json");
        (void)reader.integer("format", 1, 1);
        auto active = read_installed(reader, "active");
        auto previous = read_installed(reader, "previous");
        reader.done();
        OUTCROP_CHECK(reader.status());
        slots.active = std::move(active);
        slots.previous = std::move(previous);
        return {};
      });
  // A file that is lost or means nothing costs a transfer at most.
  if (const auto text = read_text_file(files[4], document_limit)) {
    if (const auto json = messages::parse_object(*text, document_limit, "kept.json")) {
      ObjectReader reader(*json, "kept.json");
      auto kept = read_kept(reader, "releases", false);
      reader.done();
      if (reader.ok()) slots.kept = std::move(kept);
    }
  }
  if (!recorded && slots.previous) {
    // What was under way is unknown, and so whether what serves was ever committed.
    slots.active = std::exchange(slots.previous, std::nullopt);
    say(earlier.trouble, "the release before serves");
  }
  if (slots.forgotten && record.deployment) {
    // A deployment that was committed serves; before that, what it found serves.
    const bool serves = record.deployment->state == DeploymentState::updated;
    slots.active = serves ? std::optional(record.deployment->target()) : record.deployment->before;
    slots.forgotten = !slots.active.has_value();
    if (slots.active) say(earlier.trouble, "what served is known from the last deployment");
  }
  return earlier;
}

void remove_earlier_state(const fs::path& state) {
  for (const fs::path& file : files_in(state)) {
    std::error_code error;
    fs::remove(file, error);
    if (error) spdlog::warn("removing {}: {}", file.string(), error.message());
  }
}

}  // namespace outcrop::agent
