#include "trainer_host/fleet/view/filter.hpp"

#include <algorithm>
#include <array>

#include "protocol/base/number.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::size_t most_rows = 1000;
constexpr std::array<std::string_view, 7> orders{"name", "class", "health", "seen",
                                                 "p50",  "p90",   "memory"};
// What a board without such a figure is sorted as: after the others, whichever way.
struct Key {
  const BoardRow* row = nullptr;
  bool missing = false;
  double number = 0;
};

Key key_of(const Glance& glance, const std::string& sort) {
  Key key{glance.row};
  if (sort == "health") {
    key.number = static_cast<double>(glance.row->health);
  } else if (sort == "seen") {
    key.missing = !glance.seen;
    if (glance.seen) key.number = static_cast<double>(glance.seen->time_since_epoch().count());
  } else if (sort != "name" && sort != "class") {
    key.missing = !glance.measured;
    key.number = sort == "p50" ? glance.p50_ms : sort == "p90" ? glance.p90_ms : glance.peak_memory;
  }
  return key;
}

bool before(const Key& one, const Key& other, const BoardQuery& query) {
  if (one.missing != other.missing) return other.missing;
  const Key& first = query.descending ? other : one;
  const Key& second = query.descending ? one : other;
  if (first.number != second.number) return first.number < second.number;  // of whole fleets, mostly enough
  const Device& left = first.row->device;
  const Device& right = second.row->device;
  if (query.sort == "class" && left.device_class != right.device_class) return left.device_class < right.device_class;
  return left.name < right.name;
}

bool wants_all(const BoardQuery& query) {
  for (const std::string* word : {&query.device_class, &query.model, &query.tag, &query.health, &query.rollout, &query.part_of_name}) {
    if (!word->empty()) return false;
  }
  return true;
}

bool matches(const BoardRow& row, const BoardQuery& query) {
  const auto is = [](const std::string& wanted, std::string_view have) {
    return wanted.empty() || wanted == have;
  };
  return is(query.device_class, row.device.device_class) && is(query.model, row.device.model) &&
         (query.tag.empty() || row.device.tags.contains(query.tag)) &&
         is(query.health, to_string(row.health)) &&
         is(query.rollout, row.desired ? row.desired->rollout : "") &&
         row.device.name.find(query.part_of_name) != std::string::npos;
}

// A cursor names the query that it is of, and the board that was shown last.
std::string cursor_of(const BoardQuery& query, const std::string& name) {
  return trust::sha256(query.words()).hex().substr(0, 8) + "." + name;
}

std::string encoded(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      result += c;
    } else {
      constexpr std::string_view digits = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += digits[byte >> 4];
      result += digits[byte & 15];
    }
  }
  return result;
}

bool is_health(const std::string& text) {
  for (int i = 0; i < health_count; ++i) {
    if (text == to_string(static_cast<Health>(i))) return true;
  }
  return false;
}

}  // namespace

Result<BoardQuery> BoardQuery::read(const std::map<std::string, std::string>& words) {
  BoardQuery query;
  const std::map<std::string, std::string*> texts{{"class", &query.device_class},
                                                  {"model", &query.model},
                                                  {"tag", &query.tag},
                                                  {"health", &query.health},
                                                  {"rollout", &query.rollout},
                                                  {"q", &query.part_of_name},
                                                  {"sort", &query.sort},
                                                  {"after", &query.after}};
  for (const auto& [word, value] : words) {
    if (word == "limit") {
      const auto number = read_number<std::size_t>(value);
      if (!number || *number < 1 || *number > most_rows) {
        return fail(ErrorCode::invalid_argument, "limit must be 1 to 1000");
      }
      query.limit = *number;
    } else if (const auto text = texts.find(word); text != texts.end()) {
      *text->second = value;
    } else {
      return fail(ErrorCode::invalid_argument,
                  "boards are asked for by class, model, tag, health, rollout, q, sort, limit and after, "
                  "not by '" + word + "'");
    }
  }
  if (!query.health.empty() && !is_health(query.health)) {
    return fail(ErrorCode::invalid_argument, "'" + query.health + "' is no health of a board: failed, silent, throttled, "
                                             "waiting, well or revoked");
  }
  if (query.sort.starts_with("-")) {
    query.descending = true;
    query.sort.erase(0, 1);
  }
  if (query.sort.empty()) query.sort = "name";
  if (std::find(orders.begin(), orders.end(), query.sort) == orders.end()) {
    return fail(ErrorCode::invalid_argument,
                "boards are sorted by name, class, health, seen, p50, p90 or memory");
  }
  return query;
}

std::string BoardQuery::words(const std::map<std::string, std::string>& other) const {
  std::map<std::string, std::string> all{{"class", device_class},
                                         {"model", model},
                                         {"tag", tag},
                                         {"health", health},
                                         {"rollout", rollout},
                                         {"q", part_of_name},
                                         {"sort", (descending ? "-" : "") + sort}};
  if (limit != BoardQuery().limit) all["limit"] = std::to_string(limit);
  for (const auto& [word, value] : other) all[word] = value;
  if (all["sort"] == "name") all.erase("sort");
  std::string text;
  for (const auto& [word, value] : all) {
    if (!value.empty()) text += (text.empty() ? "" : "&") + word + "=" + encoded(value);
  }
  return text;
}

Result<BoardPage> select(const FleetView& view, const BoardQuery& query) {
  std::optional<Key> last;
  if (!query.after.empty()) {
    const std::size_t dot = query.after.find('.');
    const std::string name = dot == std::string::npos ? "" : query.after.substr(dot + 1);
    const auto found = view.boards().find(name);
    if (found == view.boards().end() || cursor_of(query, name) != query.after) {
      return fail(ErrorCode::invalid_argument,
                  "'after' is no cursor of this query: begin again without it");
    }
    for (const Glance& glance : view.glances()) {
      if (glance.row == &found->second) last = key_of(glance, query.sort);
    }
  }
  std::vector<Key> found;
  BoardPage page;
  const bool all = wants_all(query);
  for (const Glance& glance : view.glances()) {
    if (!all && !matches(*glance.row, query)) continue;
    ++page.matching;
    const Key key = key_of(glance, query.sort);
    if (last && !before(*last, key, query)) continue;
    found.push_back(key);
  }
  const std::size_t shown = std::min(query.limit, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(shown), found.end(),
                    [&](const Key& one, const Key& other) { return before(one, other, query); });
  for (std::size_t i = 0; i < shown; ++i) page.rows.push_back(found[i].row);
  if (found.size() > shown) page.after = cursor_of(query, page.rows.back()->device.name);
  return page;
}

std::vector<const BoardRow*> select_all(const FleetView& view, BoardQuery query) {
  query.after.clear();
  query.limit = view.boards().size();
  auto page = select(view, query);
  return page ? std::move(page->rows) : std::vector<const BoardRow*>();  // without a cursor nothing can be wrong
}

}  // namespace outcrop::fleet
