#pragma once

#include <filesystem>

#include "trainer_host/fleet/monitor/history.hpp"

namespace outcrop::fleet::monitor {

// Queries over the files of a history, on the thread that asks; `now` says which resolutions there still are.
[[nodiscard]] Result<Series> read_series(const std::filesystem::path& folder, const Selection& selection,
                                         Timestamp now);
[[nodiscard]] Result<std::vector<Cell>> read_cells(const std::filesystem::path& folder,
                                                   const Selection& selection, Timestamp now);
[[nodiscard]] Result<std::vector<Outlier>> read_outliers(const std::filesystem::path& folder, Timestamp from,
                                                         Timestamp to, std::size_t limit);
// The newest sample of each board, of files from `since` on.
[[nodiscard]] Result<std::map<std::string, BoardSample>> read_latest(const std::filesystem::path& folder,
                                                                     Timestamp since);

}  // namespace outcrop::fleet::monitor
