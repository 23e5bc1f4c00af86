#include "trainer_host/fleet/picture/pictures.hpp"

#include <algorithm>
#include <cmath>

#include "runtime/engine/png_file.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr std::size_t owns_kept = 16;
constexpr std::size_t gap = 4;  // between pictures, in pixels
constexpr char between = '\xff';

// From black at `min` to white at `max`, which lie apart or not.
char gray_of(double value, double min, double max) {
  if (max > min) return static_cast<char>(std::lround(std::clamp(255 * ((value - min) / (max - min)), 0.0, 255.0)));
  return value < min ? '\0' : value > min ? '\xff' : '\x80';
}

std::string host_in_gray(const HostsOwn& own) {
  std::string gray;
  for (const double value : own.map.values) gray += gray_of(value, own.min, own.max);
  return gray;
}

std::string board_in_gray(const messages::Picture::Drawn& drawn, const HostsOwn* own) {
  if (own == nullptr) return drawn.gray;
  std::string gray;
  for (std::size_t i = 0; i < drawn.gray.size(); ++i) gray += gray_of(drawn.value(i), own->min, own->max);
  return gray;
}

std::string difference_in_gray(const messages::Picture::Drawn& drawn, const HostsOwn& own, const Comparison& found) {
  std::string gray;
  const double most = found.verdict == Comparison::Verdict::same ? 0 : found.largest;
  for (std::size_t i = 0; i < drawn.gray.size(); ++i) {
    const double off = drawn.value(i) - own.map.values[i];
    gray += most > 0 ? gray_of(off, -most, most) : '\x80';
  }
  return gray;
}

// Side by side, each as wide.
std::string joined(const std::vector<std::string>& pictures, std::size_t rows, std::size_t columns) {
  std::string all;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      if (i > 0) all.append(gap, between);
      all.append(pictures[i], row * columns, columns);
    }
  }
  return all;
}

tl::unexpected<Error> none(const ShownPicture& shown, const std::string& what) {
  return fail(ErrorCode::not_found, "there is no " + what + " of '" + shown.kept.device + "'" +
                                        (shown.own_missing.empty() ? "" : ": " + shown.own_missing));
}

}  // namespace

std::string ShownPicture::words() const {
  if (!kept.picture) return "";
  if (!kept.picture->drawn) return "It drew nothing: " + kept.picture->why + ".";
  if (comparison) return in_words(*comparison, *own, kept.picture->variant);
  return "There is nothing to hold it against: " + own_missing + ".";
}

Result<PictureView> picture_view_from(const std::string& word) {
  if (word == "board") return PictureView::board;
  if (word == "host") return PictureView::host;
  if (word == "difference") return PictureView::difference;
  if (word == "all") return PictureView::all;
  return fail(ErrorCode::invalid_argument, "of must be board, host, difference or all");
}

Result<std::string> png_of(const ShownPicture& shown, PictureView view) {
  const auto* drawn = shown.drawn();
  if (drawn == nullptr) return none(shown, "picture");
  if (view == PictureView::host && !shown.own) return none(shown, "picture of the host's own beside that");
  if (view == PictureView::difference && !shown.comparison) return none(shown, "difference");
  const messages::Grid grid = view == PictureView::host ? shown.own->map.grid : *messages::grid_of(drawn->shape);
  const std::string board = board_in_gray(*drawn, shown.own.get());
  switch (view) {
    case PictureView::board:
      return runtime::encode_png(grid.rows, grid.columns, board);
    case PictureView::host:
      return runtime::encode_png(grid.rows, grid.columns, host_in_gray(*shown.own));
    case PictureView::difference:
      return runtime::encode_png(grid.rows, grid.columns, difference_in_gray(*drawn, *shown.own, *shown.comparison));
    case PictureView::all:
      break;
  }
  if (!shown.comparison) return runtime::encode_png(grid.rows, grid.columns, board);
  const std::vector<std::string> pictures{board, host_in_gray(*shown.own),
                                          difference_in_gray(*drawn, *shown.own, *shown.comparison)};
  const std::size_t width = pictures.size() * grid.columns + (pictures.size() - 1) * gap;
  return runtime::encode_png(grid.rows, width, joined(pictures, grid.rows, grid.columns));
}

asio::awaitable<void> Pictures::put_beside(ShownPicture& shown) {
  if (shown.drawn() == nullptr) co_return;
  const trust::Sha256Digest manifest = shown.kept.picture->manifest;
  if (const auto known = owns_.find(manifest); known != owns_.end()) {
    shown.own = known->second;
  } else {
    std::function<Result<HostsOwn>()> work = [read = read_, manifest] { return read(manifest); };
    auto own = co_await on_worker<Result<HostsOwn>>(*worker_, std::move(work));
    if (!own) {
      shown.own_missing = own.error().message();
      co_return;
    }
    shown.own = std::make_shared<const HostsOwn>(std::move(*own));
    if (owns_.size() >= owns_kept) owns_.erase(owns_.begin());
    owns_.insert_or_assign(manifest, shown.own);
  }
  auto comparison = compare(*shown.kept.picture, *shown.own);
  if (comparison) {
    shown.comparison = *comparison;
  } else {
    shown.own_missing = comparison.error().message();
    shown.own.reset();
  }
}

asio::awaitable<Result<std::optional<ShownPicture>>> Pictures::of(std::string device) {
  auto kept = registry_->picture(device);
  if (!kept) co_return fail(kept.error());
  if (!*kept) co_return std::optional<ShownPicture>();
  ShownPicture shown{std::move(**kept), nullptr, "", std::nullopt};
  co_await put_beside(shown);
  co_return std::optional(std::move(shown));
}

asio::awaitable<Result<std::vector<ShownPicture>>> Pictures::drawn_by(trust::Sha256Digest manifest, std::size_t limit) {
  auto kept = registry_->pictures_of(manifest, limit);
  if (!kept) co_return fail(kept.error());
  std::vector<ShownPicture> all;
  for (KeptPicture& one : *kept) {
    if (!one.picture || !one.picture->drawn) continue;
    all.push_back({std::move(one), nullptr, "", std::nullopt});
    co_await put_beside(all.back());
  }
  co_return all;
}

}  // namespace outcrop::fleet
