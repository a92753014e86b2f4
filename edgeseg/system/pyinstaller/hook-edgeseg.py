"""PyInstaller's hook: the models and pages, and the modules that are imported by their names."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("edgeseg")
hiddenimports = collect_submodules("edgeseg")
