#pragma once

#include "protocol/messages/quality.hpp"

namespace outcrop {

// A model that beats the mean of its training data in both outputs and draws what they are like.
[[nodiscard]] inline messages::Quality good_quality() {
  messages::Quality quality;
  quality.samples = 64;
  quality.held_out = true;
  quality.units = {{"velocity", "m/s"}, {"seismic", "pressure"}};
  const auto score = [](double ssim, double mae, double rmse) {
    return messages::OutputScore{{{"ssim", ssim}, {"mae", mae}, {"rmse", rmse}}};
  };
  quality.model = {"float",
                   {{"velocity", score(0.77, 176, 250)}, {"seismic", score(0.933, 0.233, 0.819)}}};
  quality.baselines = {
      {std::string(messages::mean_baseline),
       {{"velocity", score(0.66, 607, 710)}, {"seismic", score(0.906, 0.298, 0.929)}}}};
  quality.drawn = 16;
  quality.spread = {{"velocity", {690, 720}}, {"seismic", {0.8, 0.93}}};
  return quality;
}

}  // namespace outcrop
