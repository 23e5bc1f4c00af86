#include <algorithm>

#include "trainer_host/fleet/page/screens.hpp"
#include "trainer_host/fleet/page/words.hpp"

namespace outcrop::fleet::page {
namespace {

constexpr std::size_t large = 224;  // pixels of the longer side at least, where pictures have few points
constexpr std::size_t small = 112;

Html verdict(const ShownPicture& shown) {
  using Verdict = Comparison::Verdict;
  Html html;
  if (!shown.comparison) return html;
  switch (shown.comparison->verdict) {
    case Verdict::same:
      return html << "<span class=\"chip well\"><span aria-hidden=\"true\">●</span> as the host's own</span> ";
    case Verdict::within:
      return html << "<span class=\"chip well\"><span aria-hidden=\"true\">●</span> within what is allowed</span> ";
    case Verdict::beyond:
      return html << "<span class=\"chip failed\"><span aria-hidden=\"true\">✖</span> beyond what is allowed</span> ";
    case Verdict::off:
      break;
  }
  return html << "<span class=\"chip throttled\"><span aria-hidden=\"true\">▲</span> another picture</span> ";
}

// Where it is served, told apart from the one before: who asked for that has it still.
std::string address(const ShownPicture& shown, const std::string& of) {
  const messages::DeviceHeader& header = shown.kept.picture->header;
  return "/v1/devices/" + in_url(shown.kept.device) + "/picture.png?of=" + of + "&drawn=" + std::to_string(header.session) + "-" +
         std::to_string(header.sequence);
}

// Each point of it some whole pixels wide.
Html image(const ShownPicture& shown, const std::string& of, const std::string& what, std::size_t least_side) {
  const messages::Grid grid = *messages::grid_of(shown.drawn()->shape);
  const std::size_t scale = std::max<std::size_t>(1, least_side / std::max(grid.rows, grid.columns));
  Html html;
  return html << "<img src=\"" << address(shown, of) << "\" width=\"" << grid.columns * scale << "\" height=\""
              << grid.rows * scale << "\" alt=\"" << what << "\">";
}

Html figure_of(const Html& picture, const std::string& caption, const std::string& below) {
  Html html;
  html << "<figure>" << picture << "<figcaption>" << caption;
  if (!below.empty()) html << "<br><span class=\"dim\">" << below << "</span>";
  return html << "</figcaption></figure>";
}

std::string thinned(const messages::Picture::Drawn& drawn) {
  const messages::Grid grid = *messages::grid_of(drawn.shape);
  std::string words;
  if (grid.row_step > 1) words += ", 1 row of " + std::to_string(grid.row_step);
  if (grid.column_step > 1) words += ", 1 column of " + std::to_string(grid.column_step);
  return words;
}

std::string difference_in_words(const ShownPicture& shown) {
  if (shown.comparison->verdict == Comparison::Verdict::same) return "none that a picture can tell";
  if (shown.own->classes) return "gray where the class is the same";
  const std::string most = figure(shown.comparison->largest) + (shown.own->unit.empty() ? "" : " " + shown.own->unit);
  return "white is " + most + " more, black as much less";
}

Html side_by_side(const ShownPicture& shown) {
  const messages::Picture::Drawn& drawn = *shown.drawn();
  const std::string unit = shown.own ? shown.own->unit : "";
  const std::string range = range_in_words(drawn.min, drawn.max, unit);
  Html html;
  html << "<div class=\"pictures\">"
       << figure_of(image(shown, "board", drawn.output + " as " + shown.kept.device + " drew it: " + range, large), "This board",
                    range + thinned(drawn));
  if (shown.own) {
    const std::string own = range_in_words(shown.own->min, shown.own->max, unit);
    html << figure_of(image(shown, "host", drawn.output + " as the release has it: " + own, large),
                      "The host's own, of the same seed", own + ", black to white in both");
  }
  if (shown.comparison) {
    html << figure_of(image(shown, "difference", "What the board drew without the host's own: " + difference_in_words(shown), large),
                      "Difference", difference_in_words(shown));
  }
  return html << "</div>";
}

bool can_draw(const Device& device) {
  return device.status && device.status->speaks >= messages::pictures_since;
}

// Only who may ask is told that he can.
Html asking(const BoardRow& row, const std::optional<ShownPicture>& picture, const Reader& reader, Timestamp now) {
  Html html;
  if (picture && picture->kept.waits) {
    html << "<p>Asked for one " << age(picture->kept.asked, now) << " ago: it draws when no update is at work and nobody uses it.</p>";
  }
  if (!reader.may_operate || row.device.revoked || !can_draw(row.device)) return html;
  return html << "<form class=\"steer\" method=\"post\" action=\"/boards/" << in_url(row.device.name)
              << "/picture\"><button>Ask for a picture</button></form>";
}

}  // namespace

Html picture_part(const FleetView& view, const BoardRow& row, const std::optional<ShownPicture>& picture,
                  const Reader& reader, Timestamp now) {
  Html html;
  html << "<h2>What it draws</h2>";
  if (!can_draw(row.device)) {
    html << "<p class=\"dim\">Its agent is too old to draw: pictures are of protocol " << messages::pictures_since << ".</p>";
  } else if (!picture) {
    html << "<p class=\"dim\">It was not asked for a picture.</p>";
  } else if (picture->kept.picture) {
    const messages::Picture& said = *picture->kept.picture;
    html << "<p>" << verdict(*picture) << picture->words() << " <span class=\"dim\">" << view.name_of(said.manifest);
    if (!said.variant.empty()) html << ", " << said.variant;
    html << ", " << age(picture->kept.received, now) << " ago.</span>";
    const auto serves = row.device.status->active_manifest;
    if (serves != said.manifest) html << " Another release serves by now.";
    html << "</p>";
    if (picture->drawn() != nullptr) html << side_by_side(*picture);
  }
  return html << asking(row, picture, reader, now);
}

Html pictures_strip(const std::vector<ShownPicture>& pictures, Timestamp now) {
  Html html;
  html << "<div class=\"pictures\">";
  const auto with_own = std::find_if(pictures.begin(), pictures.end(), [](const ShownPicture& one) { return one.own != nullptr; });
  if (with_own != pictures.end()) {
    html << figure_of(image(*with_own, "host", with_own->drawn()->output + " as the release has it", small), "The host's own",
                      range_in_words(with_own->own->min, with_own->own->max, with_own->own->unit));
  }
  for (const ShownPicture& one : pictures) {
    html << "<figure>" << image(one, "board", one.drawn()->output + " as " + one.kept.device + " drew it", small) << "<figcaption>"
         << board_link(one.kept.device) << " <span class=\"dim\">" << age(one.kept.received, now) << "</span><br>"
         << verdict(one) << "</figcaption></figure>";
  }
  return html << "</div>";
}

}  // namespace outcrop::fleet::page
