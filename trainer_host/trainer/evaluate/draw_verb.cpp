#include "trainer_host/trainer/evaluate/draw_verb.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "runtime/engine/tensor_file.hpp"

namespace outcrop::evaluate {
namespace {

struct Arguments {
  std::filesystem::path samples;
  std::filesystem::path png;
  std::string title;
  std::size_t most = 4;
};

Status check_png(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (ending == ".png") return {};
  return fail(ErrorCode::invalid_argument,
              "--out " + path.string() + ": pictures are PNG; call it " +
                  std::filesystem::path(path).replace_extension(".png").string());
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

// The picture whose outputs a file has.
Result<const kinds::SamplePicture*> picture_of(const std::vector<runtime::Tensor>& tensors,
                                               const std::vector<kinds::SamplePicture>& pictures) {
  std::vector<std::string> names;
  for (const runtime::Tensor& tensor : tensors) names.push_back(tensor.name);
  std::string drawable;
  for (const kinds::SamplePicture& picture : pictures) {
    const bool all = std::all_of(
        picture.outputs.begin(), picture.outputs.end(), [&](const std::string& output) {
          return std::find(names.begin(), names.end(), output) != names.end();
        });
    if (all) return &picture;
    drawable += "; a " + picture.kind + " answers " + listed(picture.outputs);
  }
  return fail(ErrorCode::invalid_data,
              "no known picture for its tensors (" + listed(names) + ")" + drawable);
}

Status run_draw(const Arguments& arguments, const std::vector<kinds::SamplePicture>& pictures) {
  OUTCROP_CHECK(check_png(arguments.png));
  OUTCROP_TRY(tensors, runtime::read_tensor_file(arguments.samples));
  const auto in_file = [&](const Error& error) {
    return fail(error.context(arguments.samples.string()));
  };
  const auto picture = picture_of(tensors, pictures);
  if (!picture) return in_file(picture.error());
  const std::string title =
      arguments.title.empty() ? arguments.samples.filename().string() : arguments.title;
  const auto drawn = (*picture)->draw(tensors, arguments.most, title, arguments.png);
  if (!drawn) return in_file(drawn.error());
  std::printf("%s: %zu sample%s\n", arguments.png.c_str(), *drawn, *drawn == 1 ? "" : "s");
  return {};
}

}  // namespace

void add_draw(CLI::App& app, cli::Action& chosen, std::vector<kinds::SamplePicture> pictures) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* draw =
      app.add_subcommand("draw", "Draw samples that a board generated (outcrop-agent infer)");
  draw->add_option("samples", arguments->samples, ".safetensors file that it wrote")
      ->required();
  draw->add_option("--out", arguments->png, "PNG to write: NAME.png")->required();
  draw->add_option("--title", arguments->title, "Heading; default: the file's name");
  draw->add_option("--count", arguments->most, "How many samples to show")
      ->check(CLI::Range(1, 6))
      ->capture_default_str();
  draw->footer(
      "Example:\n  outcrop-agent infer --seed 7 --count 4 --out made.safetensors\n"
      "  outcrop draw made.safetensors --out made.png");
  draw->callback([arguments, &chosen, pictures = std::move(pictures)] {
    chosen = [arguments, pictures] { return run_draw(*arguments, pictures); };
  });
}

}  // namespace outcrop::evaluate
