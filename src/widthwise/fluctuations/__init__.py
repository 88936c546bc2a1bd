"""fluctuations"""
