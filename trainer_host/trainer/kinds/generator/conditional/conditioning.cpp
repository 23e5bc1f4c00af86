#include <cmath>

#include "trainer_host/trainer/kinds/generator/conditional/agreeing_noise.hpp"
#include "trainer_host/trainer/kinds/generator/conditional/given_map.hpp"
#include "trainer_host/trainer/kinds/generator/conditional/noise_space.hpp"
#include "trainer_host/trainer/kinds/generator/decoding.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/conditioned_picture.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::generator {
namespace {

using kinds::Conditions;
using kinds::Evaluation;
using torch::Tensor;

// [depth, width]; NaN where nothing is known.
Tensor tensor_of(const std::vector<float>& map, const data::Geometry& geometry) {
  return torch::tensor(map).reshape(
      {static_cast<std::int64_t>(geometry.depth), static_cast<std::int64_t>(geometry.width)});
}

std::vector<float> copied(const Tensor& map) {
  const Tensor dense = map.contiguous();
  return {dense.data_ptr<float>(), dense.data_ptr<float>() + dense.numel()};
}

// Maps [N, depth, width], and what is said of them.
struct Drawn {
  Tensor maps;

  // Mean over all of them, or of their mean map, of |difference| from `truth` where `where` is 1; nothing where that is nowhere.
  [[nodiscard]] std::optional<double> off(const Tensor& truth, const Tensor& where) const { return off(maps, truth, where); }
  [[nodiscard]] std::optional<double> mean_off(const Tensor& truth, const Tensor& where) const {
    return off(maps.mean(0, /*keepdim=*/true), truth, where);
  }
  // Standard deviation of each cell over the maps; undefined of one map.
  [[nodiscard]] Tensor deviation() const { return maps.size(0) > 1 ? maps.std(0, /*unbiased=*/true) : Tensor(); }
  [[nodiscard]] std::optional<double> spread(const Tensor& where) const {
    const double cells = where.sum().item<double>();
    if (maps.size(0) < 2 || cells == 0.0) return std::nullopt;
    return (deviation() * where).sum().item<double>() / cells;
  }

 private:
  static std::optional<double> off(const Tensor& maps, const Tensor& truth, const Tensor& where) {
    const double cells = where.sum().item<double>() * static_cast<double>(maps.size(0));
    if (cells == 0.0) return std::nullopt;
    return (((maps - truth.nan_to_num(0.0)) * where).abs().sum() / cells).item<double>();
  }
};

ConditionedPicture::Row picture_row(const char* label, const Drawn& drawn) {
  ConditionedPicture::Row row{.label = label, .maps = {}, .spread = {}};
  const auto shown = std::min(drawn.maps.size(0), static_cast<std::int64_t>(ConditionedPicture::maps_shown));
  for (std::int64_t i = 0; i < shown; ++i) row.maps.push_back(copied(drawn.maps[i]));
  if (const Tensor deviation = drawn.deviation(); deviation.defined()) row.spread = copied(deviation);
  return row;
}

std::string rounded(double metres_per_second) {
  return std::to_string(std::llround(metres_per_second));
}

// The figures of lines, without a column that none of them has.
class Figures {
 public:
  void add(const char* metric, const char* heading, int decimals, std::vector<std::optional<double>> by_line) {
    if (std::ranges::none_of(by_line, [](const auto& value) { return value.has_value(); })) return;
    columns_.push_back({"velocity", metric, heading, decimals});
    by_column_.push_back(std::move(by_line));
  }
  // The first `variants` of the lines are such, the others baselines.
  void put_into(Evaluation& shown, const std::vector<std::string>& lines, std::size_t variants) && {
    shown.columns = std::move(columns_);
    for (std::size_t line = 0; line < lines.size(); ++line) {
      Evaluation::Line figures{lines[line], {}};
      for (const auto& column : by_column_) figures.figures.push_back(column[line]);
      (line < variants ? shown.variants : shown.baselines).push_back(std::move(figures));
    }
  }

 private:
  std::vector<Evaluation::Column> columns_;
  std::vector<std::vector<std::optional<double>>> by_column_;
};

Evaluation shown_known(const Drawn& agreeing, const Drawn& free, const GivenMap& given, const data::Geometry& geometry) {
  const Tensor whole = tensor_of(given.whole, geometry);
  const Tensor known = tensor_of(given.values, geometry).isnan().logical_not().to(torch::kFloat);
  const Tensor elsewhere = 1.0 - known;
  const Tensor true_elsewhere = elsewhere * whole.isnan().logical_not();
  Evaluation shown;
  Figures figures;
  const auto both = [&](auto figure) { return std::vector{figure(agreeing), figure(free)}; };
  figures.add("mae_where_known", "off where known, m/s", 0, both([&](const Drawn& d) { return d.off(whole, known); }));
  figures.add("mae_elsewhere", "elsewhere", 0, both([&](const Drawn& d) { return d.off(whole, true_elsewhere); }));
  figures.add("mae_of_mean_elsewhere", "their mean, elsewhere", 0,
              both([&](const Drawn& d) { return d.mean_off(whole, true_elsewhere); }));
  figures.add("deviation_elsewhere", "standard deviation, elsewhere", 0, both([&](const Drawn& d) { return d.spread(elsewhere); }));
  std::move(figures).put_into(shown, {"maps that agree", "the same noise, not told"}, 1);
  shown.caption = std::to_string(given.known) + " of " + std::to_string(geometry.map_size()) + " cells are known; maps are off there by " +
                  rounded(agreeing.off(whole, known).value_or(0.0)) + " m/s (not told: " + rounded(free.off(whole, known).value_or(0.0)) + ")";
  if (const auto off = agreeing.mean_off(whole, true_elsewhere)) {
    shown.caption += ", their mean elsewhere by " + rounded(*off) +
                     " (" + rounded(free.mean_off(whole, true_elsewhere).value_or(0.0)) + ")";
  }
  return shown;
}

Evaluation shown_around(const Drawn& around, const Drawn& free, const Drawn& itself, const GivenMap& given,
                        const data::Geometry& geometry) {
  const Tensor whole = tensor_of(given.whole, geometry);
  const Tensor all = torch::ones_like(whole);
  Evaluation shown;
  Figures figures;
  figures.add("mae_given", "off from the map, m/s", 0, {around.off(whole, all), free.off(whole, all)});
  figures.add("deviation", "standard deviation", 0, {around.spread(all), free.spread(all)});
  std::move(figures).put_into(shown, {"variations", "the same noise alone"}, 1);
  const double decoded = itself.off(whole, all).value_or(0.0);
  shown.drawn.push_back({"encoded_and_decoded_mae_m_per_s", decoded});
  shown.drawn_text = "encoded and decoded, the map itself is off by " + rounded(decoded) + " m/s: nothing that is drawn comes nearer";
  shown.caption = "variations are off from the map by " + rounded(around.off(whole, all).value_or(0.0)) +
                  " m/s (encoded and decoded it is by " + rounded(decoded) +
                  ", maps of noise alone by " + rounded(free.off(whole, all).value_or(0.0)) + ")";
  return shown;
}

}  // namespace

Result<kinds::Conditioned> GeneratorTask::condition(const Conditions& conditions) {
  if (!prior_) return fail(ErrorCode::unsupported, "what latents are drawn by is fitted at the end of a stage, and here it is not");
  OUTCROP_TRY(given, given_map(conditions, data_.geometry));
  const bool known = conditions.way == Conditions::Way::known;
  if (!known && given.known < data_.geometry.map_size()) {
    return fail(ErrorCode::invalid_data, std::to_string(data_.geometry.map_size() - given.known) +
                                             " of its cells are NaN; a map to be varied is whole (--known completes one)");
  }
  const Tensor map = tensor_of(given.values, data_.geometry);
  const bool by_diffusion = diffusion_ && diffusion_->is_trained();
  const NoiseSpace space(*prior_, by_diffusion ? std::optional(sampler_of(*diffusion_)) : std::nullopt);
  const Tensor noise = space.draw(conditions.count, conditions.seed);
  const auto maps_of = [&](const Tensor& x) {
    const Tensor decoded = velocity_decoder_.forward(space.latents(x).unsqueeze(2).unsqueeze(3));
    return finish_.maps(decoded).squeeze(1);
  };
  Tensor moved;
  if (known) {
    moved = agreeing_noise(maps_of, noise,
                           {map.nan_to_num(0.0), map.isnan().logical_not().to(torch::kFloat), conditions.deviation},
                           conditions.seed, conditions.progress);
  }
  const torch::NoGradGuard no_gradient;
  const Tensor itself = known ? Tensor() : encode(map.unsqueeze(0).unsqueeze(0)).flatten(1);
  const Tensor latents =
      known ? space.latents(moved) : space.around(itself.expand_as(noise), noise, conditions.strength);
  OUTCROP_TRY(pairs, decode_each(*conditions.model, latents));
  OUTCROP_TRY(free_pairs, decode_each(*conditions.model, space.latents(noise)));
  const Drawn drawn{pairs.velocity.squeeze(1)};
  const Drawn free{free_pairs.velocity.squeeze(1)};
  kinds::Conditioned result;
  result.outputs = {models::plain_tensor("velocity", pairs.velocity), models::plain_tensor("seismic", pairs.seismic)};
  if (known) {
    result.shown = shown_known(drawn, free, given, data_.geometry);
  } else {
    OUTCROP_TRY(decoded, decode_each(*conditions.model, itself));
    result.shown = shown_around(drawn, free, Drawn{decoded.velocity.squeeze(1)}, given, data_.geometry);
  }
  result.shown.samples = conditions.count;
  result.shown.remarks = given.remarks;
  result.shown.picture = "conditioned.png";
  result.shown.draw = [picture = ConditionedPicture{.title = {},
                                                    .caption = result.shown.caption,
                                                    .given_heading = known ? "what is known" : "the map",
                                                    .given = given.values,
                                                    .rows = {picture_row(known ? "that agree" : "variations", drawn),
                                                             picture_row(known ? "same noise, not told" : "same noise alone", free)},
                                                    .geometry = data_.geometry}](const std::string& title,
                                                                                const std::filesystem::path& png) mutable {
    picture.title = title;
    return draw_conditioned(picture, png);
  };
  return result;
}

}  // namespace outcrop::generator
