#include "trainer_host/fleet/rollout/behind_fleet.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "protocol/base/counted.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

constexpr const char* note_name = "behind-fleet";
// Boards that were away may have seen a little more than those that showed it.
constexpr std::uint64_t margin = word_of_one_board;
constexpr const char* what_to_do =
    "Nothing is offered, and boards keep what they serve. Bring what was signed since (outcrop "
    "keys publish --dir keys; outcrop device publish), publish the releases made since again (outcrop "
    "release publish), then say `outcrop fleet adopt`: the next rollout decides what boards get. "
    "Where that board is not to be believed, revoke it first";
constexpr const char* what_to_do_about_few =
    ". Nothing is offered to it, and the others go on. Where a backup came back, more boards will say so; or say `outcrop fleet "
    "adopt`, which goes on from what boards serve. Else it is not to be believed: outcrop device revoke";
constexpr std::size_t most_named = 16;

// "generation 12 (here: 4), snapshot 9 (here: 3)"; empty where nothing is ahead.
std::string what_is_ahead(const messages::DeviceStatus& status, std::uint64_t generation,
                          const KnownVersions& known) {
  std::string words;
  const auto add = [&](const char* what, std::uint64_t said, std::uint64_t here) {
    if (!is_ahead(said, here)) return;
    words += (words.empty() ? "" : ", ") + std::string(what) + " " + std::to_string(said) +
             " (here: " + std::to_string(here) + ")";
  };
  add("generation", status.generation, generation);
  add("snapshot", comparable_snapshot(status, known.root), known.snapshot);
  add("root", status.root_version, known.root);
  return words;
}

}  // namespace

std::uint64_t comparable_snapshot(const messages::DeviceStatus& status, std::uint64_t newest_root) {
  return status.root_version < newest_root ? 0 : status.snapshot_version;
}

void add_list_seen(const Device& board, bool signing, const std::map<std::string, std::uint64_t>& here,
                   std::map<std::string, std::uint64_t>& seen) {
  if (board.revoked || !board.status || (signing && !board.signs)) return;
  const std::uint64_t version = board.status->stage_version;
  const auto known = here.find(board.model);
  const std::uint64_t newest = known == here.end() ? 0 : known->second;
  if (!is_ahead(version, newest) || version > newest + word_of_one_board) return;
  std::uint64_t& highest = seen[board.model];
  highest = std::max(highest, version);
}

Result<bool> BehindFleet::look_at(const Device& board, bool first, const KnownVersions& known) {
  if (!board.status) return false;
  const messages::DeviceStatus& status = *board.status;
  OUTCROP_TRY(generation, registry_->last_generation());
  OUTCROP_TRY(desired, registry_->desired(board.name));
  const std::uint64_t given = std::max(generation, desired ? desired->generation : 0);
  if (first) {
    // Others take no number that leaps (messages::leaps): what one board says raises theirs a little at most.
    if (is_ahead(status.generation, given) && status.generation <= given + margin) {
      OUTCROP_CHECK(registry_->raise_generation(status.generation));
    }
    return false;
  }
  const std::string ahead = what_is_ahead(status, given, known);
  if (ahead.empty()) return holds(board.name);
  OUTCROP_TRY(before, read());
  Note note = before.value_or(Note{board.name + " has seen " + ahead, {}, 0});
  const bool named = std::find(note.boards.begin(), note.boards.end(), board.name) !=
                     note.boards.end();
  if (!named && note.boards.size() < most_named) note.boards.push_back(board.name);
  if (is_ahead(status.generation, given)) {
    note.generation = std::max(note.generation, status.generation);
  }
  if (before == note) return true;
  OUTCROP_TRY(was_older, words());
  OUTCROP_CHECK(write(note));
  OUTCROP_TRY(older, words());
  if (older && !was_older) {
    spdlog::error("{}", *older);
  } else if (!older && !named) {
    spdlog::warn("'{}' says that it has seen {}{} {}", board.name, ahead, what_to_do_about_few, board.name);
  }
  return true;
}

Result<bool> BehindFleet::holds(const std::string& board) const {
  OUTCROP_TRY(note, read());
  return note && std::find(note->boards.begin(), note->boards.end(), board) != note->boards.end();
}

Result<std::optional<std::string>> BehindFleet::words() const {
  OUTCROP_TRY(note, read());
  if (!note) return std::optional<std::string>();
  OUTCROP_TRY(boards, unrevoked(*note));
  OUTCROP_TRY(enrolled, registry_->count_enrolled());
  if (boards.empty() || boards.size() < boards_to_believe(enrolled)) return std::optional<std::string>();
  return std::optional<std::string>("this state is older than the fleet: " + note->shown +
                                    (boards.size() > 1 ? ", and " + counted(boards.size() - 1, "other board says", "other boards say") + " so" : "") +
                                    ". " + what_to_do);
}

Result<std::optional<std::string>> BehindFleet::words_of_few() const {
  OUTCROP_TRY(note, read());
  if (!note) return std::optional<std::string>();
  OUTCROP_TRY(boards, unrevoked(*note));
  OUTCROP_TRY(enrolled, registry_->count_enrolled());
  if (boards.empty() || boards.size() >= boards_to_believe(enrolled)) return std::optional<std::string>();
  const std::string who = join(boards);
  return std::optional<std::string>("nobody but " + who + " says that boards have seen more than this host gave out (" + note->shown + ")" +
                                    what_to_do_about_few + " " + boards.front());
}

Status BehindFleet::check() const {
  OUTCROP_TRY(older, words());
  if (older) return fail(ErrorCode::refused, *older);
  return {};
}

Result<std::optional<BehindFleet::Note>> BehindFleet::read() const {
  if (known_) return *known_;
  OUTCROP_TRY(text, registry_->note(note_name));
  std::optional<Note> note;
  try {
    if (text) {
      const auto json = nlohmann::json::parse(*text);
      note = Note{json.at("shown"), json.at("boards"), json.at("generation")};
    }
  } catch (const nlohmann::json::exception&) {
    return fail(ErrorCode::invalid_data,
                "database: note '" + std::string(note_name) + "' does not read as written");
  }
  known_ = note;
  return note;
}

Status BehindFleet::write(const Note& note) {
  known_.reset();
  const nlohmann::json json{
      {"shown", note.shown}, {"boards", note.boards}, {"generation", note.generation}};
  return registry_->save_note(note_name, json_text(json));
}

Status BehindFleet::remove() {
  known_.reset();
  return registry_->remove_note(note_name);
}

Result<std::vector<std::string>> BehindFleet::unrevoked(const Note& note) const {
  std::vector<std::string> boards;
  for (const std::string& name : note.boards) {
    OUTCROP_TRY(device, registry_->device(name));
    if (device && !device->revoked) boards.push_back(name);
  }
  return boards;
}

std::size_t boards_to_believe(std::size_t enrolled) {
  constexpr std::size_t fewest = 2;
  return std::min(std::max<std::size_t>(enrolled, 1), std::clamp((enrolled + 9) / 10, fewest, most_named));
}

Status BehindFleet::adopt() {
  OUTCROP_TRY(note, read());
  if (!note) {
    return fail(ErrorCode::refused,
                "this state is as new as the fleet, as far as boards have said: there is nothing "
                "to adopt");
  }
  OUTCROP_TRY(boards, unrevoked(*note));
  if (boards.empty()) return remove();
  OUTCROP_TRY(generation, registry_->last_generation());
  OUTCROP_TRY(rollouts, registry_->rollouts());
  OUTCROP_CHECK(registry_->transaction([&]() -> Status {
    OUTCROP_CHECK(registry_->raise_generation(std::clamp(note->generation, generation, generation + margin) + margin));
    for (RolloutRecord& rollout : rollouts) {
      rollout.past = true;
      if (!has_ended(rollout.state)) {
        rollout.state = RolloutState::stopped;
        rollout.ended = clock_->now();
        rollout.reason = "this state was older than the fleet, which went on without this rollout";
      }
      OUTCROP_CHECK(registry_->save(rollout));
    }
    return remove();
  }));
  spdlog::warn("adopted what boards serve: every rollout until now is past");
  return {};
}

}  // namespace outcrop::fleet
