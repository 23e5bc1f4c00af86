#include "trainer_host/fleet/page/assets.hpp"

#include <array>

#include "protocol/trust/digest.hpp"

// The files, by the assembler. OUTCROP_PACKED is the folder of those that the build packed.
#define OUTCROP_EMBED(symbol, file)                                                        \
  asm(".section .rodata\n.global outcrop_" #symbol "\noutcrop_" #symbol ":\n.incbin \"" file \
      "\"\n.global outcrop_" #symbol "_end\noutcrop_" #symbol "_end:\n.byte 0\n.previous\n"); \
  extern "C" const char outcrop_##symbol[];                                                \
  extern "C" const char outcrop_##symbol##_end[]
#define OUTCROP_ASSET(symbol, folder, name)                                 \
  OUTCROP_EMBED(symbol, OUTCROP_PAGE_SOURCE "/" folder "/" name);           \
  OUTCROP_EMBED(symbol##_packed, OUTCROP_PACKED "/" name ".gz")

OUTCROP_ASSET(page_css, "assets", "page.css");
OUTCROP_ASSET(page_js, "assets", "page.js");
OUTCROP_ASSET(chart_js, "assets", "chart.js");
OUTCROP_ASSET(icon_svg, "assets", "icon.svg");
OUTCROP_ASSET(lit_html_js, "vendor", "lit-html.js");
OUTCROP_ASSET(uplot_js, "vendor", "uPlot.iife.min.js");
OUTCROP_ASSET(uplot_css, "vendor", "uPlot.min.css");

namespace outcrop::fleet::page {
namespace {

struct Asset {
  std::string_view name, type, bytes, packed;
};

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

#define OUTCROP_ENTRY(symbol, name, type)                         \
  Asset {                                                         \
    name, type, between(outcrop_##symbol, outcrop_##symbol##_end), \
        between(outcrop_##symbol##_packed, outcrop_##symbol##_packed_end) \
  }

const std::array<Asset, 7>& assets() {
  static const std::array<Asset, 7> all{
      OUTCROP_ENTRY(page_css, "page.css", "text/css; charset=utf-8"),
      OUTCROP_ENTRY(page_js, "page.js", "text/javascript; charset=utf-8"),
      OUTCROP_ENTRY(chart_js, "chart.js", "text/javascript; charset=utf-8"),
      OUTCROP_ENTRY(icon_svg, "icon.svg", "image/svg+xml"),
      OUTCROP_ENTRY(lit_html_js, "lit-html.js", "text/javascript; charset=utf-8"),
      OUTCROP_ENTRY(uplot_js, "uPlot.iife.min.js", "text/javascript; charset=utf-8"),
      OUTCROP_ENTRY(uplot_css, "uPlot.min.css", "text/css; charset=utf-8")};
  return all;
}

const std::string& folder() {
  static const std::string name = [] {
    trust::Sha256Hasher hasher;
    for (const Asset& one : assets()) hasher.update(as_bytes(one.bytes));
    return "/assets/" + hasher.finish().short_hex() + "/";
  }();
  return name;
}

}  // namespace

std::string asset_url(std::string_view name) {
  return folder() + std::string(name);
}

http::Response asset(const std::string& path, std::string_view accepted_encodings) {
  for (const Asset& one : assets()) {
    if (path != asset_url(one.name)) continue;
    const bool packed = accepted_encodings.find("gzip") != std::string_view::npos;
    http::Response response{200, std::string(one.type), std::string(packed ? one.packed : one.bytes)};
    response.headers = {{"Cache-Control", "public, max-age=31536000, immutable"},
                        {"Vary", "Accept-Encoding"},
                        {"X-Content-Type-Options", "nosniff"}};
    if (packed) response.headers.emplace_back("Content-Encoding", "gzip");
    return response;
  }
  return http::error_response(Error(ErrorCode::not_found, "there is no " + path));
}

std::size_t packed_size() {
  std::size_t size = 0;
  for (const Asset& one : assets()) size += one.packed.size();
  return size;
}

}  // namespace outcrop::fleet::page
