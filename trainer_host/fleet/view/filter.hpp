#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet {

// Which boards of a fleet are asked for, and in which order, by the words of a query:
//   class, model, tag, health, rollout  are exactly this; q: part of the name
//   sort     name, class, health, seen, p50, p90, memory; "-p90" the other way round
//   limit    1 to 1000
//   after    where the page before ended: it holds for the same order and filter only
struct BoardQuery {
  std::string device_class, model, tag, health, rollout, part_of_name;
  std::string sort = "name";
  bool descending = false;
  std::size_t limit = 100;
  std::string after;

  // invalid_argument for a word that is none, an order or number that is none, and the cursor of another query.
  [[nodiscard]] static Result<BoardQuery> read(const std::map<std::string, std::string>& query);
  // The same as words of a URL, without `after`; `other` replaces words of it.
  [[nodiscard]] std::string words(const std::map<std::string, std::string>& other = {}) const;
};

struct BoardPage {
  std::vector<const BoardRow*> rows;
  std::size_t matching = 0;  // in the whole fleet
  std::string after;         // the cursor of the next page; "" on the last
};

// A scan of rows in memory, bounded by the size of the fleet.
[[nodiscard]] Result<BoardPage> select(const FleetView& view, const BoardQuery& query);
// Every board that matches, whatever the query says of pages.
[[nodiscard]] std::vector<const BoardRow*> select_all(const FleetView& view, BoardQuery query);

}  // namespace outcrop::fleet
