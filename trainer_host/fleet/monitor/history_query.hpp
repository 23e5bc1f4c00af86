#pragma once

#include <map>
#include <string>
#include <vector>

#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/monitor/store.hpp"

namespace outcrop::fleet::monitor {

// Queries over the spans of a history, on the thread that asks; `now` says which resolutions there still are.
[[nodiscard]] Result<Series> read_series(Store& store, const Selection& selection,
                                         Timestamp now);
[[nodiscard]] Result<std::vector<Cell>> read_cells(Store& store,
                                                   const Selection& selection, Timestamp now);
[[nodiscard]] Result<std::vector<Outlier>> read_outliers(Store& store, Timestamp from,
                                                         Timestamp to, std::size_t limit);
// The newest sample of each board, of spans from `since` on.
[[nodiscard]] Result<std::map<std::string, BoardSample>> read_latest(Store& store,
                                                                     Timestamp since);

}  // namespace outcrop::fleet::monitor
