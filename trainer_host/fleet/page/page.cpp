#include "trainer_host/fleet/page/page.hpp"

#include "protocol/base/number.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/page/assets.hpp"
#include "trainer_host/fleet/page/csv.hpp"
#include "trainer_host/fleet/page/screens.hpp"

namespace outcrop::fleet::page {
namespace {

namespace asio = boost::asio;

constexpr std::size_t reports_charted = 400;
constexpr std::chrono::hours charted{48};
constexpr std::size_t points_charted = 300;
constexpr std::size_t outliers_shown = 50;
constexpr std::size_t audit_shown = 100;
constexpr std::size_t pictures_shown = 12;

// "pi-1" of "/boards/pi-1"; "" where it is another path.
std::string name_below(const std::string& path, std::string_view place) {
  if (!path.starts_with(place)) return "";
  std::string name = path.substr(place.size());
  return name.find('/') == std::string::npos ? name : "";
}

// What the history is asked for about a board; it blocks.
BoardHistory read_history(monitor::History& history, const std::string& board, Timestamp now) {
  BoardHistory known;
  monitor::Selection selection;
  selection.device = board;
  selection.from = now - charted;
  selection.to = now + std::chrono::seconds(1);
  selection.most_points = points_charted;
  selection.measure = monitor::Measure::served_ms;
  if (auto served = history.series(selection)) known.served = std::move(*served);
  selection.measure = monitor::Measure::temperature;
  if (auto temperature = history.series(selection)) known.temperature = std::move(*temperature);
  known.sample = history.latest(board);
  return known;
}

http::Response not_found(const std::string& what, const Reader& reader, Timestamp now) {
  Html html;
  html << "<h1>Not here</h1><p>" << what << "</p><p><a href=\"/\">Fleet</a></p>";
  return as_page(layout("Not here", "", html, reader, now), 404);
}

http::Response refused(const Error& error, const Reader& reader, Timestamp now) {
  Html html;
  html << "<h1>That cannot be asked</h1><p>" << error.message() << "</p>";
  const bool users = error.code() == ErrorCode::invalid_argument ||
                     error.code() == ErrorCode::invalid_data;
  const int status = users ? 400 : error.code() == ErrorCode::not_found ? 404 : 500;
  return as_page(layout("That cannot be asked", "", html, reader, now), status);
}

}  // namespace

bool Page::serves(const std::string& path) {
  return path == "/" || path == "/boards" || path == "/boards.csv" || path == "/compare" || path == "/regressions" ||
         path == "/regressions.csv" ||
         path.starts_with("/boards/") || path.starts_with("/rollouts/") ||
         path.starts_with("/assets/");
}

asio::awaitable<http::Response> Page::handle(const http::Request& request, const Reader& reader) {
  const std::string path = request.path;
  if (path.starts_with("/assets/")) co_return asset(path, request.header("accept-encoding"));
  const Timestamp now = parts_.clock.now();
  if (const Status read = parts_.view.refresh(); !read) co_return refused(read.error(), reader, now);
  const FleetView& view = parts_.view;
  const auto shown = [&](const std::string& title, const std::string& place, const Html& content) {
    return as_page(layout(title, place, content, reader, now));
  };
  const AcknowledgedOf acknowledged = acknowledged_in(parts_.registry);
  if (path == "/regressions.csv") co_return changes_csv(newest_changes(view), acknowledged);
  if (path == "/") {
    const std::vector<std::string> attention = co_await parts_.attention();
    co_return shown("Fleet", "/", fleet_screen(view, attention, acknowledged, now));
  }
  if (path == "/boards" || path == "/boards.csv") {
    const auto query = BoardQuery::read(request.query);
    if (!query) co_return refused(query.error(), reader, now);
    if (path == "/boards.csv") co_return boards_csv(view, select_all(view, *query));
    const auto page = select(view, *query);
    if (!page) co_return refused(page.error(), reader, now);
    const Lately lately = [history = parts_.history](const std::string& board) {
      return history == nullptr ? std::vector<double>() : history->served_lately(board);
    };
    co_return shown("Boards", "/boards", boards_screen(view, *query, *page, lately, reader, now));
  }
  if (path == "/compare") {
    const auto pair = compared_pair(view, request.query);
    if (!pair) co_return refused(pair.error(), reader, now);
    std::vector<ShownPicture> pictures;
    if (parts_.pictures != nullptr && *pair) {
      auto drawn = co_await parts_.pictures->drawn_by((*pair)->after, pictures_shown);
      if (!drawn) co_return refused(drawn.error(), reader, now);
      pictures = std::move(*drawn);
    }
    co_return shown("Compare", "/compare", compare_screen(view, request.query, *pair, pictures, now));
  }
  if (const std::string name = name_below(path, "/boards/"); !name.empty()) {
    if (!view.boards().contains(name)) {
      co_return not_found("No board '" + name + "' was ever enrolled.", reader, now);
    }
    BoardHistory history;
    if (parts_.history != nullptr) {
      std::function<BoardHistory()> work = [from = parts_.history, name, now] {
        return read_history(*from, name, now);
      };
      history = co_await on_worker<BoardHistory>(parts_.worker, std::move(work));
    }
    auto reports = parts_.registry.reports(name, std::nullopt, reports_charted);
    if (!reports) co_return refused(reports.error(), reader, now);
    history.reports = std::move(*reports);
    if (parts_.pictures != nullptr) {
      auto picture = co_await parts_.pictures->of(name);
      if (!picture) co_return refused(picture.error(), reader, now);
      history.picture = std::move(*picture);
    }
    const auto row = view.boards().find(name);  // it may have gone while the worker read
    if (row == view.boards().end()) co_return not_found("The board has gone.", reader, now);
    co_return shown(name, "/boards", board_screen(view, row->second, history, reader, now));
  }
  if (const std::string name = name_below(path, "/rollouts/"); !name.empty()) {
    for (const RolloutRow& row : view.rollouts()) {
      if (row.record.name != name) continue;
      co_return shown(name, "/", rollout_screen(view, row, acknowledged, reader, now));
    }
    co_return not_found("There is no rollout '" + name + "'.", reader, now);
  }
  if (path == "/regressions") {
    std::vector<monitor::Outlier> outliers;
    if (parts_.history != nullptr) {
      std::function<std::vector<monitor::Outlier>()> work = [from = parts_.history, now] {
        auto found = from->outliers(now - charted, now + std::chrono::seconds(1), outliers_shown);
        return found ? std::move(*found) : std::vector<monitor::Outlier>();
      };
      outliers = co_await on_worker<std::vector<monitor::Outlier>>(parts_.worker, std::move(work));
    }
    std::optional<monitor::AuditPage> audit;
    if (parts_.audit != nullptr) {
      std::optional<std::uint64_t> below;
      if (const auto word = request.query.find("below"); word != request.query.end()) {
        below = read_number<std::uint64_t>(word->second);
      }
      auto page = parts_.audit->page(below, audit_shown, "", "");
      if (!page) co_return refused(page.error(), reader, now);
      audit = std::move(*page);
    }
    co_return shown("Regressions and audit", "/regressions",
                    regressions_screen(view, parts_.history != nullptr ? &outliers : nullptr,
                                       audit ? &*audit : nullptr, acknowledged, reader, now));
  }
  co_return not_found("There is no page " + path + ".", reader, now);
}

}  // namespace outcrop::fleet::page
