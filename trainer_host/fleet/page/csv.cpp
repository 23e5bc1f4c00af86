#include "trainer_host/fleet/page/csv.hpp"

#include <optional>
#include <string>
#include <utility>

#include "protocol/base/csv.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

class Csv {
 public:
  explicit Csv(const char* heading) : text_(heading) { text_ += "\r\n"; }
  Csv& text(std::string_view cell) {
    text_ += std::exchange(first_, false) ? "" : ",";
    text_ += csv_cell(cell);
    return *this;
  }
  // A number is a number, with its sign.
  Csv& number(const std::optional<double>& value) {
    text_ += std::exchange(first_, false) ? "" : ",";
    if (value) text_ += plain(*value);
    return *this;
  }
  void end() {
    text_ += "\r\n";
    first_ = true;
  }
  [[nodiscard]] http::Response as(const std::string& name) && {
    return {200,
            "text/csv; charset=utf-8",
            std::move(text_),
            {{"Content-Disposition", "attachment; filename=\"" + name + "\""},
             {"X-Content-Type-Options", "nosniff"},
             {"Cache-Control", "no-store"}}};
  }

 private:
  std::string text_;
  bool first_ = true;
};

std::string time_text(const std::optional<Timestamp>& time) {
  return time ? to_rfc3339(*time) : "";
}

}  // namespace

http::Response boards_csv(const FleetView& view, const std::vector<const BoardRow*>& rows) {
  Csv csv("name,class,model,tags,health,why,last_seen,release,manifest,variant,p50_ms,p90_ms,peak_memory_bytes,measured,void_because");
  for (const BoardRow* row : rows) {
    const Device& device = row->device;
    const auto active = device.status ? device.status->active_manifest : std::nullopt;
    const Figure* serving = row->serving();
    const bool counts = serving != nullptr && serving->counts();
    csv.text(device.name).text(device.device_class).text(device.model).text(join(std::vector<std::string>(device.tags.begin(), device.tags.end()), " "));
    csv.text(to_string(row->health)).text(row->why).text(time_text(device.last_seen));
    csv.text(active ? view.name_of(*active) : "").text(active ? active->hex() : "").text(active ? device.status->active_variant : "");
    csv.number(counts ? std::optional(serving->p50_ms) : std::nullopt).number(counts ? std::optional(serving->p90_ms) : std::nullopt);
    csv.text(counts ? std::to_string(serving->peak_memory) : "");
    csv.text(serving != nullptr ? to_rfc3339(serving->received) : "").text(serving != nullptr ? join(serving->void_because, "; ") : "");
    csv.end();
  }
  return std::move(csv).as("boards.csv");
}

http::Response changes_csv(const std::vector<Change>& changes, const AcknowledgedOf& acknowledged) {
  Csv csv("model,class,variant,before,after,before_p90_ms,after_p90_ms,boards,slower,effect,low,high,evidence,verdict,void_before,void_after,"
          "acknowledged_by,acknowledged,note");
  for (const Change& one : changes) {
    const auto seen = acknowledged(one);
    csv.text(one.model).text(one.device_class).text(one.variant).text(one.releases.before.hex()).text(one.releases.after.hex());
    csv.number(one.before_ms).number(one.after_ms).text(std::to_string(one.p90.boards)).text(std::to_string(one.p90.slower));
    csv.number(one.p90.median).number(one.p90.low).number(one.p90.high).number(one.p90.evidence).text(to_string(one.p90.verdict));
    csv.text(std::to_string(one.throttled_before)).text(std::to_string(one.throttled_after));
    csv.text(seen ? seen->who : "").text(seen ? to_rfc3339(seen->when) : "").text(seen ? seen->note : "");
    csv.end();
  }
  return std::move(csv).as("changes.csv");
}

}  // namespace outcrop::fleet::page
