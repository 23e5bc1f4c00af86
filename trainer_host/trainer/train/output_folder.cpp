#include "trainer_host/trainer/train/output_folder.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::train {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view releases = "releases/";

// "stage12" with before "stage" and behind "" gives 12; nothing where a name has another form.
std::optional<std::int64_t> number_within(std::string_view name, std::string_view before,
                                          std::string_view behind) {
  if (!name.starts_with(before) || !name.ends_with(behind) ||
      name.size() <= before.size() + behind.size()) {
    return std::nullopt;
  }
  name.remove_prefix(before.size());
  name.remove_suffix(behind.size());
  const auto number = read_number<std::int64_t>(name);
  return number && *number >= 1 ? number : std::nullopt;
}

// What an earlier training left, each by its name in the folder.
struct EarlierWork {
  std::set<std::pair<std::int64_t, std::string>> finished;  // stages and their releases
  std::set<std::pair<std::int64_t, std::string>> weights;
  bool curve = false;
};

EarlierWork look_at(const fs::path& out, const std::string& model) {
  EarlierWork work;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(out, error)) {
    const std::string name = entry.path().filename().string();
    if (const auto stage = number_within(name, "stage", "")) work.finished.emplace(*stage, name);
    if (const auto stage = number_within(name, model + "_stage", ".weights")) {
      work.weights.emplace(*stage, name);
    }
    work.curve = work.curve || name == "training.csv";
  }
  for (const auto& entry : fs::directory_iterator(out / releases, error)) {
    const std::string name = entry.path().filename().string();
    if (const auto stage = number_within(name, model + "-stage", "")) {
      work.finished.emplace(*stage, std::string(releases) + name);
    }
  }
  return work;
}

// Whether two tables have the same epochs, as far as both go. A column that only one of them has was
// not yet written by the version that made the other.
bool same_epochs(const platform::CsvTable& first, const platform::CsvTable& second) {
  const std::size_t rows = std::min(first.rows.size(), second.rows.size());
  if (rows > 0 && !second.column("epoch")) return false;
  for (std::size_t here = 0; here < first.headings.size(); ++here) {
    const auto there = second.column(first.headings[here]);
    for (std::size_t row = 0; there && row < rows; ++row) {
      if (first.rows[row][here] != second.rows[row][*there]) return false;
    }
  }
  return true;
}

void append(std::string& names, const std::string& name) {
  names += (names.empty() ? "" : ", ") + name;
}

}  // namespace

Status check_room_for_new_run(const fs::path& out, const std::string& model, bool replace) {
  const EarlierWork work = look_at(out, model);
  std::string finished;
  for (const auto& [stage, name] : work.finished) append(finished, name);
  if (!finished.empty()) {
    return fail(ErrorCode::already_exists,
                out.string() + " holds finished stages of another training (" + finished +
                    "); nothing was changed. Go on from its checkpoint, name another folder (--out "
                    "DIR; --init WEIGHTS begins from weights that are there), or remove these "
                    "first");
  }
  std::string left = work.curve ? "training.csv" : "";
  for (const auto& [stage, name] : work.weights) append(left, name);
  if (replace || left.empty()) return {};
  return fail(ErrorCode::already_exists,
              out.string() + " holds what another training left (" + left +
                  ") and no checkpoint to go on from; nothing was changed. Bring that checkpoint "
                  "back, name another folder (--out DIR; --init WEIGHTS begins from weights that "
                  "are there), or give it up (--resume none)");
}

Status check_room_after(const fs::path& out, const std::string& model, std::int64_t finished) {
  std::string later;
  for (const auto& [stage, name] : look_at(out, model).finished) {
    if (stage > finished) append(later, name);
  }
  if (later.empty()) return {};
  return fail(ErrorCode::already_exists,
              out.string() + " holds finished stages (" + later +
                  ") that this checkpoint has not come to: what is trained now could not be kept "
                  "there; nothing was changed. Name another folder (--out DIR --resume CHECKPOINT), "
                  "or remove these first");
}

Status check_same_curve(const fs::path& out, const std::string& table) {
  const auto text = read_text_file(out / "training.csv");
  if (!text) return {};
  const auto there = platform::parse_csv(*text);
  const auto here = platform::parse_csv(table);
  if (there && here && same_epochs(*here, *there)) return {};
  return fail(ErrorCode::already_exists,
              out.string() + " holds another training than this checkpoint's (its training.csv has "
                             "other epochs); nothing was changed. Name another folder (--out DIR)");
}

Status remove_old_stages(const fs::path& out, const std::string& model, std::int64_t newest,
                         std::int64_t keep) {
  if (keep == 0) return {};
  const EarlierWork work = look_at(out, model);
  const auto is_release = [](const std::string& name) { return name.starts_with(releases); };
  std::int64_t last_release = 0;
  for (const auto& [stage, name] : work.finished) {
    if (is_release(name) && stage <= newest) last_release = std::max(last_release, stage);
  }
  auto old = work.finished;
  old.insert(work.weights.begin(), work.weights.end());
  for (const auto& [stage, name] : old) {
    if (stage > newest - keep || (is_release(name) && stage == last_release)) continue;
    std::error_code error;
    fs::remove_all(out / name, error);
    if (error) {
      return fail(ErrorCode::io, "removing " + (out / name).string() +
                                     ", which train.keep_stages no longer keeps: " + error.message());
    }
  }
  return {};
}

}  // namespace outcrop::train
