"""tmp"""
def write_pipeline(folder): return folder/"pipeline.html"
