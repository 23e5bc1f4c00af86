# Pages that are installed, under the names that they have beside each other there. Links between them follow;
# a link to what is not installed becomes plain text.
set(pages
  docs/fleet.md                   fleet.md
  docs/fleet-page.md              fleet-page.md
  docs/monitoring.md              monitoring.md
  docs/raspberry-pi.md            raspberry-pi.md
  docs/security.md                security.md
  docs/python.md                  python.md
  docs/release-policy.md          release-policy.md
  docs/data.md                    data.md
  docs/modules.md                 modules.md
  docs/quantization.md            quantization.md
  docs/quantization-report.md     quantization-report.md
  docs/kinds.md                   kinds.md
  docs/text.md                    text.md
  docs/gathers.md                 gathers.md
  docs/diffusion.md               diffusion.md
  agent/control/API.md            agent-api.md
  trainer_host/fleet/api/API.md   host-api.md
  protocol/messages/SCHEMA.md     schema.md)

set(OUTCROP_PAGES ${CMAKE_BINARY_DIR}/pages)
set(OUTCROP_INSTALLED_PAGES)
set(rest ${pages})
while(rest)
  list(POP_FRONT rest source name)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  get_filename_component(folder ${source} DIRECTORY)
  file(READ ${source} text)
  set(others ${pages})
  while(others)
    list(POP_FRONT others other other_name)
    file(RELATIVE_PATH link ${PROJECT_SOURCE_DIR}/${folder} ${PROJECT_SOURCE_DIR}/${other})
    string(REPLACE "](${link})" "](@${other_name})" text "${text}")
    string(REPLACE "](${link}#" "](@${other_name}#" text "${text}")
  endwhile()
  string(REGEX REPLACE "\\[([^]\n]+)\\]\\([^@#:)]+(#[^)]*)?\\)" "\\1" text "${text}")
  string(REPLACE "](@" "](" text "${text}")
  file(CONFIGURE OUTPUT ${OUTCROP_PAGES}/${name} CONTENT "@text@" @ONLY)
  list(APPEND OUTCROP_INSTALLED_PAGES ${OUTCROP_PAGES}/${name})
endwhile()
