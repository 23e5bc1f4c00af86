#include "trainer_host/trainer/evaluate/result_folder.hpp"

#include <cstdio>

#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

void say_no_picture(const Status& picture) {
  if (picture) return;
  std::fprintf(stderr, "note: no picture: %s\n", picture.error().message().c_str());
}

}  // namespace

Status make_result_folder(const fs::path& out) {
  std::error_code error;
  fs::create_directories(out, error);
  if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
  say_no_picture(check_drawing());
  return {};
}

DrawnPicture draw_into(const fs::path& folder, const kinds::Evaluation& evaluation, const std::string& title) {
  const fs::path png = folder / evaluation.picture;
  const Status drawn = evaluation.draw(title, png);
  if (drawn) return {evaluation.picture, ""};
  std::error_code ignored;
  fs::remove(png, ignored);
  say_no_picture(drawn);
  return {"", drawn.error().message()};
}

}  // namespace outcrop::evaluate
