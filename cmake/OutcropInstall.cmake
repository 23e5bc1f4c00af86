# Where programs, units and documents go: `cmake --install BUILD [--prefix DIR] [--component host|board]`.
include(GNUInstallDirs)

set(board_programs outcrop-agent)
set(host_programs outcrop outcropd outcrop-trainer)
if(OUTCROP_RUNNER)
  list(APPEND board_programs outcrop-runner-torch)
endif()
install(TARGETS ${board_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT board)
install(TARGETS ${host_programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT host)
if(OUTCROP_RUNNER)
  # The host proves releases with the boards' own runner.
  install(TARGETS outcrop-runner-torch RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT host)
endif()
foreach(component host board)
  install(FILES docs/fleet.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT ${component})
endforeach()
install(FILES configs/host.toml DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT host)
install(FILES configs/agent.toml DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT board)
