#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::cli {

// What outcropd tells of a board's history, as tables. Answers of GET /v1/history for three measures, of
// GET /v1/outliers, and what a terminal holds.
struct HistoryAnswers {
  nlohmann::json served;       // served_ms
  nlohmann::json temperature;
  nlohmann::json measured;     // measured_p90_ms, one by one
  nlohmann::json outliers;
};
[[nodiscard]] std::string history_tables(const std::string& board, const HistoryAnswers& answers, Timestamp now,
                                         std::size_t width);

[[nodiscard]] std::string measure_words(const nlohmann::json& answer);

// Answers of POST /v1/pictures, and of GET /v1/devices/NAME/picture, which drew: what is in the file, and what it says.
[[nodiscard]] std::string picture_words(const nlohmann::json& answer);
[[nodiscard]] std::string picture_text(const nlohmann::json& answer, const std::string& of, const std::string& file);

// Entries of GET /v1/audit, newest first.
[[nodiscard]] std::string audit_table(const std::vector<nlohmann::json>& entries, Timestamp now, std::size_t width);
// With a line of headings; RFC 4180.
[[nodiscard]] std::string audit_csv(const std::vector<nlohmann::json>& entries);

struct CheckedAudit {
  std::uint64_t entries = 0;
  std::string head;  // "12:<hash>", to be noted; "0:" and zeroes for an empty log
};
// Whether all entries, newest first and down to the first, are as they were written. `noted`: a head that was noted
// before ("12:<hash>"), which must be in it; may be empty. untrusted, naming the entry; invalid_argument for a
// `noted` that is none.
[[nodiscard]] Result<CheckedAudit> check_audit(const std::vector<nlohmann::json>& entries, const std::string& noted);

}  // namespace outcrop::cli
